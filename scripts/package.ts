/**
 * `npm run package`: compiles the package into dist, a folder with a package.json of its own,
 * and packs it. Why not the checkout itself: docs/decisions/0004-staged-package.md.
 *
 *   node scripts/package.ts [--to FOLDER]      where the tarball goes (.)
 */
import { spawnSync } from 'node:child_process'
import { cpSync, globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'

const root = path.dirname(import.meta.dirname)
const dist = path.join(root, 'dist')
const { values } = parseArgs({ options: { to: { type: 'string', default: '.' } } })

function run(command: string, argv: readonly string[], cwd: string): void {
  const { status, error } = spawnSync(command, argv, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

/** `./src/index.ts` of the checkout is `./index.js` of the package, with its types beside it. */
function published(target: string): string | { types: string; default: string } {
  if (!target.startsWith('./src/')) return target
  const stem = target.replace('./src/', './').replace(/\.ts$/, '')
  return { types: `${stem}.d.ts`, default: `${stem}.js` }
}

function packageFile(): object {
  const { private: _, workspaces, scripts, allowScripts, exports, ...rest } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as Record<string, unknown>
  return { ...rest, exports: Object.fromEntries(Object.entries(exports as Record<string, string>).map(([name, target]) => [name, published(target)])) }
}

rmSync(dist, { recursive: true, force: true })
run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.dist.json'], root)
for (const file of globSync(['**/*.sql', 'admin/page/**/*.{html,js,css,svg}'], { cwd: path.join(root, 'src') })) cpSync(path.join(root, 'src', file), path.join(dist, file), { recursive: true })
for (const one of ['bin', 'docs', 'examples/starter', 'LICENSE', 'README.md']) cpSync(path.join(root, one), path.join(dist, one), { recursive: true })
writeFileSync(path.join(dist, 'package.json'), `${JSON.stringify(packageFile(), null, 2)}\n`)
run('npm', ['pack', '--loglevel=error', '--pack-destination', path.resolve(values.to)], dist)
