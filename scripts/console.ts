/**
 * `npm run console`: builds the page of the admin port from the folder console into
 * src/admin/page, where it is committed: who uses Tenfold builds nothing. build.json says
 * what it was built from, and test/console/build.test.ts whether that is still so.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.dirname(import.meta.dirname)
export const pageFolder = path.join(root, 'src/admin/page')
export const buildFile = path.join(pageFolder, 'build.json')

/** The sources, and the shapes that they import from the package. */
const sources = ['console/index.html', 'console/package.json', 'console/vite.config.ts', 'console/public/*', 'console/src/**/*.{ts,tsx,css}', 'src/admin/sample.ts']

const digestOf = (files: readonly string[]): string => {
  const hash = createHash('sha256')
  for (const file of [...files].sort()) hash.update(`${file.replaceAll(path.sep, '/')}\n`).update(readFileSync(path.join(root, file)))
  return hash.digest('hex')
}

export interface Build { readonly sources: string; readonly files: string }

/** What the page would say of itself if it were built now. */
export const buildNow = (): Build => ({
  sources: digestOf(globSync(sources, { cwd: root })),
  files: digestOf(globSync('src/admin/page/**/*.{html,js,css,svg}', { cwd: root })),
})

if (import.meta.main) {
  for (const argv of [['typescript/bin/tsc', '-p', 'console'], ['vite/bin/vite.js', 'build', 'console']]) {
    const { status } = spawnSync(process.execPath, [path.join(root, 'node_modules', argv[0]!), ...argv.slice(1)], { cwd: root, stdio: 'inherit' })
    if (status !== 0) process.exit(status ?? 1)
  }
  writeFileSync(buildFile, `${JSON.stringify(buildNow(), null, 2)}\n`)
}
