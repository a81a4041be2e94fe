/** `tenfold init`: makes an application in an empty folder, from the starter of this package. */
import { cp, mkdir, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fault } from '../base/errors.ts'
import { print } from './command.ts'
import type { CliCommand } from './command.ts'

interface PackageFile {
  readonly version: string
  readonly devDependencies: Readonly<Record<string, string>>
}

const packageFile = createRequire(import.meta.url).resolve('tenfold/package.json')
/** In a checkout this file is TypeScript; what is published is compiled. */
const isCheckout = path.extname(fileURLToPath(import.meta.url)) === '.ts'

export const init: CliCommand = {
  name: 'init',
  summary: 'make an application in an empty folder',
  help: `Usage: tenfold init [FOLDER]

Writes an application of one service, with its migration, topology and test, to FOLDER (here).
'npm install', then 'npm start' and 'npm test' work there at once. Refuses a folder that is not empty.
`,
  options: {},
  positional: 'FOLDER',
  async run(given) {
    const folder = path.resolve(given.positionals[0] ?? '.')
    await refuseUnlessEmpty(folder)
    await mkdir(folder, { recursive: true })
    await cp(path.join(path.dirname(packageFile), 'examples/starter'), folder, { recursive: true })
    // Under its own name npm would leave it out of the package.
    await rename(path.join(folder, 'gitignore'), path.join(folder, '.gitignore'))
    const own = await packageOf(folder)
    await writeFile(path.join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`)
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter(one => one.isFile())
      .map(one => path.relative(folder, path.join(one.parentPath, one.name)).replaceAll(path.sep, '/')).filter(one => !one.startsWith('.git/')).sort()
    const here = path.relative(process.cwd(), folder)
    const steps = [...(here === '' ? [] : [`cd ${here.startsWith('..') ? folder : here}`]), 'npm install', 'npm start']
    print(given, { folder, name: own.name, tenfold: own.dependencies.tenfold, files, next: steps },
      `made ${own.name}: ${files.length} files in ${folder}\n\nnext:\n${steps.map(one => `  ${one}`).join('\n')}`)
    return 0
  },
}

/** A repository that was just made counts as empty. */
async function refuseUnlessEmpty(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => null)
  if (found === null) return
  if (!found.isDirectory()) throw fault('USAGE', `${folder} is a file; name a folder that is empty or not there yet: tenfold init my-app`)
  const names = (await readdir(folder)).filter(name => name !== '.git')
  if (names.length > 0) {
    const some = names.slice(0, 3).join(', ')
    throw fault('USAGE', `${folder} is not empty (${some}${names.length > 3 ? ', …' : ''}), and nothing in it is overwritten; name a folder that is empty or not there yet: tenfold init my-app`)
  }
}

async function packageOf(folder: string) {
  const { version, devDependencies } = JSON.parse(await readFile(packageFile, 'utf8')) as PackageFile
  const pinned = (name: string) => devDependencies[name]!
  return {
    name: nameOf(folder),
    version: '0.1.0',
    private: true,
    type: 'module',
    scripts: { start: 'tenfold start', dev: 'tenfold dev', test: 'node --test', check: 'tenfold check && tsc' },
    dependencies: { node: pinned('node'), tenfold: isCheckout ? linkTo(path.dirname(packageFile), folder) : version, zod: pinned('zod') },
    devDependencies: { '@types/node': pinned('@types/node'), typescript: pinned('typescript') },
    // npm asks before it runs install scripts; the one of `node` fetches the program for this machine.
    allowScripts: { node: true },
  }
}

/** A link, so that the sources of the checkout run from their own place: below node_modules Node strips no types. */
function linkTo(checkout: string, folder: string): string {
  return `file:${path.relative(folder, checkout).replaceAll(path.sep, '/')}`
}

function nameOf(folder: string): string {
  const name = path.basename(folder).toLowerCase().replace(/[^a-z0-9-]+/g, '-').replace(/^-+|-+$/g, '')
  return name === '' || name === 'tenfold' || name === 'node' || name === 'zod' ? 'my-app' : name
}
