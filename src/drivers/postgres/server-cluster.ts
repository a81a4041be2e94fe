/**
 * The cluster on disk: made once by initdb, with its superuser's password and its port
 * remembered beside it.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, chown, mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import { fault } from '../../base/errors.ts'
import { randomHex } from '../../base/random.ts'
import type { ServerFiles } from './server-files.ts'
import { serverEnvironment } from './server-process.ts'

/** Makes the cluster unless it is there: in a temporary folder first, so that a half-made one is never used. Returns the password. */
export async function initialiseCluster(files: ServerFiles): Promise<string> {
  const passwordFile = path.join(files.folder, 'postgres.password')
  if (existsSync(files.cluster)) {
    return (await readFile(passwordFile, 'utf8').catch((error: unknown) => {
      throw fault('UNAVAILABLE', `the password of the cluster ${files.cluster} cannot be read from ${passwordFile}: start as the user who made it`, { cause: error })
    })).trim()
  }
  const password = randomHex(24)
  const draft = `${files.cluster}.draft`
  await rm(draft, { recursive: true, force: true })
  await rm(passwordFile, { force: true })
  await mkdir(draft, { mode: 0o700 })
  // Flushed: after a power cut a cluster without its password would be lost.
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600, flush: true })
  if (files.owner) for (const one of [draft, passwordFile]) await chown(one, files.owner.uid, files.owner.gid)
  await initdb(files, draft, passwordFile)
  if (files.owner) await chown(passwordFile, 0, 0)
  await chmod(passwordFile, 0o600)
  await rename(draft, files.cluster)
  await syncFolder(files.folder)
  return password
}

async function initdb(files: ServerFiles, folder: string, passwordFile: string): Promise<void> {
  const options = [
    '-D', folder, '-U', 'postgres', '-E', 'UTF8', '--auth=scram-sha-256', `--pwfile=${passwordFile}`,
    // Sort order of the server itself: indexes survive another libc or another distribution's Postgres 18.
    '--locale-provider=builtin', '--locale=C.UTF-8', '--data-checksums', '--no-instructions',
  ]
  const { uid, gid } = files.owner ?? {}
  await new Promise<void>((resolve, reject) => {
    execFile(path.join(files.binaries, 'bin', 'initdb'), options, { uid, gid, cwd: folder, env: serverEnvironment(folder) }, (error, _, output) => {
      if (error === null) return resolve()
      reject(fault('UNAVAILABLE', `initdb failed for ${files.cluster}: ${output.trim() || error.message}`, { cause: error }))
    })
  })
}

async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  await handle.sync().finally(() => handle.close())
}

/** The port asked for; else that of the last start if it is free, so that addresses in tools stay valid; else any, for which any other would do. */
export async function choosePort(files: ServerFiles, asked: number | undefined): Promise<{ readonly port: number; readonly isAnyPort: boolean }> {
  const file = path.join(files.folder, 'postgres.port')
  if (asked !== undefined && !await isFree(asked)) throw fault('USAGE', `port ${asked} is taken: stop what listens there, or give Postgres another port`)
  const remembered = Number(await readFile(file, 'utf8').catch(() => ''))
  const known = asked ?? (remembered > 0 && await isFree(remembered) ? remembered : undefined)
  const port = known ?? await freePort()
  if (port !== remembered) await writeFile(file, `${port}\n`)
  return { port, isAnyPort: known === undefined }
}

const isFree = (port: number): Promise<boolean> => new Promise(resolve => {
  const probe = net.createServer().once('error', () => resolve(false))
  probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
})

const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const probe = net.createServer().once('error', reject)
  probe.listen(0, '127.0.0.1', () => {
    const { port } = probe.address() as net.AddressInfo
    probe.close(() => resolve(port))
  })
})
