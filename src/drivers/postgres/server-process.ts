/**
 * The running server as an operating system process: found through postmaster.pid, asked
 * whether it answers, launched, and shut down.
 */
import { spawn } from 'node:child_process'
import { closeSync, fstatSync, openSync, readFileSync, readlinkSync, realpathSync } from 'node:fs'
import { open, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import type { CpuGroup } from '../../base/cpu-quota.ts'
import { fault } from '../../base/errors.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { ServerFiles } from './server-files.ts'

/** What postmaster.pid says of a server that is alive. */
export interface Postmaster {
  readonly pid: number
  readonly port: number
  readonly socketFolder: string | null
  readonly ready: boolean
}

const startMs = 20_000
const stopMs = 15_000
const retryFirstMs = 20
const retryCapMs = 250
const logBytesMax = 16 * 1024 * 1024
/** Larger than any process id, so never alive, yet a number that Postgres reads. */
const pidOfNobody = 99_999_999
/** Faults that pass by themselves: orphans of a killed postmaster, a port that is being freed. */
const passing = /postmaster\.pid" already exists|shared memory block|still in use|could not bind|could not create any TCP/
const portTaken = /could not bind|could not create any TCP/

/** Also false for a process that has ended and waits to be reaped: an adopted one may have a parent that never does. */
export function isAlive(pid: number): boolean {
  try { process.kill(pid, 0) } catch (error) { return (error as NodeJS.ErrnoException).code === 'EPERM' }
  try {
    const state = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return state[state.lastIndexOf(')') + 2] !== 'Z'
  } catch (error) { return process.platform !== 'linux' || (error as NodeJS.ErrnoException).code !== 'ENOENT' }
}

/** The living server of this cluster, or null. A file left by a copy, or with a process id that is used again, is not believed. */
export async function postmasterOf(cluster: string): Promise<Postmaster | null> {
  const lines = (await readFile(path.join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
  const pid = Number(lines[0])
  if (!(pid > 0) || !isAlive(pid) || !worksIn(pid, cluster, lines[1] ?? '')) return null
  return { pid, port: Number(lines[3]), socketFolder: lines[4] || null, ready: lines[7]?.trim() === 'ready' }
}

/** A postmaster's working folder is its cluster, even when the folder has been moved since. */
function worksIn(pid: number, cluster: string, written: string): boolean {
  try {
    return realpathSync(readlinkSync(`/proc/${pid}/cwd`)) === realpathSync(cluster)
  } catch {
    if (process.platform === 'linux') return false
    try { return realpathSync(written) === realpathSync(cluster) } catch { return false }
  }
}

export async function answers(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch { return false } finally { await client.end().catch(() => {}) }
}

/** A server that runs already, with what it has started. */
export async function limitRunning(pid: number, group: CpuGroup): Promise<void> {
  // What it starts from now on is in the group too.
  group.add(pid)
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  for (const child of children.trim().split(' ')) if (child !== '') group.add(Number(child))
}

/** Waits while a server that is alive starts or ends; the server that can be adopted, or null when none is left. */
export async function adoptable(files: ServerFiles, password: string): Promise<Postmaster | null> {
  const deadlineMs = monotonicMs() + startMs
  for (;;) {
    const found = await postmasterOf(files.cluster)
    if (found === null) return null
    if (found.ready && await answers(found.port, password)) return found
    if (monotonicMs() > deadlineMs) throw fault('UNAVAILABLE', `a Postgres (pid ${found.pid}) runs on ${files.cluster} but does not answer on port ${found.port} with the password of ${files.folder}: stop it first`)
    await sleep(20)
  }
}

export interface Launch {
  readonly files: ServerFiles
  readonly port: number
  readonly settings: Readonly<Record<string, string>>
  /** Its processes go there, all of them. */
  readonly group?: CpuGroup | undefined
  readonly signal?: AbortSignal
  /** Another port would do as well: one that is taken is not waited for. */
  readonly isAnyPort?: boolean
}

export interface Launched {
  readonly pid: number
  /** Settles when the process has ended. */
  readonly ended: Promise<void>
}

/**
 * Starts the server and resolves when it takes connections. Tries again while orphans of the
 * one before are still ending. Null when the port is taken and any other would do.
 */
export async function launch(wanted: Launch & { readonly isAnyPort: true }): Promise<Launched | null>
export async function launch(wanted: Launch): Promise<Launched>
export async function launch(wanted: Launch): Promise<Launched | null> {
  const deadlineMs = monotonicMs() + startMs
  await rotateLog(logFileOf(wanted.files))
  await disownPidFile(wanted.files.cluster)
  for (let pauseMs = retryFirstMs; ; pauseMs = Math.min(retryCapMs, pauseMs * 2)) {
    const outcome = await tryLaunch(wanted, deadlineMs)
    if (typeof outcome !== 'string') return outcome
    if (wanted.isAnyPort && portTaken.test(outcome)) return null
    if (!passing.test(outcome) || monotonicMs() + pauseMs > deadlineMs || wanted.signal?.aborted) {
      throw fault('UNAVAILABLE', `Postgres did not start on ${wanted.files.cluster}, port ${wanted.port}: ${outcome.trim()} (log: ${logFileOf(wanted.files)})`)
    }
    await sleep(pauseMs, wanted.signal)
  }
}

async function tryLaunch({ files, port, settings, group }: Launch, deadlineMs: number): Promise<Launched | string> {
  const output = openSync(logFileOf(files), 'a', 0o600)
  const from = fstatSync(output).size
  const all = { ...settings, port: String(port), unix_socket_directories: files.socketFolder ?? '' }
  // Detached: Ctrl-C in a terminal goes to the whole group and must not reach the database.
  const child = spawn(path.join(files.binaries, 'bin', 'postgres'), ['-D', files.cluster, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])], {
    uid: files.owner?.uid, gid: files.owner?.gid, detached: true, stdio: ['ignore', output, output], env: serverEnvironment(files.cluster), cwd: files.cluster,
  })
  closeSync(output)
  // Before it has started any other.
  if (child.pid !== undefined) group?.add(child.pid)
  const state: { failure?: string } = {}
  const ended = new Promise<void>(resolve => {
    child.on('error', error => { state.failure = `it cannot be run: ${error.message}`; resolve() })
    child.on('exit', (code, signal) => { state.failure = `it ended with ${code ?? signal}`; resolve() })
  })
  child.unref()
  while (state.failure === undefined && monotonicMs() < deadlineMs) {
    const found = await postmasterOf(files.cluster)
    if (found?.ready && found.pid === child.pid) return { pid: found.pid, ended }
    await sleep(5)
  }
  if (state.failure === undefined && child.pid) process.kill(child.pid, 'SIGQUIT')
  return `${state.failure ?? 'it was not ready in time'}\n${await textFrom(logFileOf(files), from)}`
}

export function serverEnvironment(home: string): Record<string, string> {
  return { HOME: home, LANG: 'C.UTF-8', PATH: process.env.PATH ?? '', ...(process.env.TZ ? { TZ: process.env.TZ } : {}) }
}

const logFileOf = (files: ServerFiles): string => path.join(files.folder, 'postgres.log')

async function rotateLog(file: string): Promise<void> {
  const handle = await open(file, 'a', 0o600)
  const { size } = await handle.stat()
  await handle.close()
  if (size > logBytesMax) await rename(file, `${file}.1`)
}

async function textFrom(file: string, offset: number): Promise<string> {
  return (await readFile(file)).subarray(offset).toString('utf8').slice(-2_000)
}

/**
 * Postgres refuses while the process id in the file is alive, though it may be another
 * program's by now or belong to the folder this one was copied from. Only the number is
 * replaced: the shared memory key in the file still guards against orphaned backends.
 */
async function disownPidFile(cluster: string): Promise<void> {
  const file = path.join(cluster, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  if (lines.length < 2 || process.platform !== 'linux' || !isAlive(Number(lines[0])) || await postmasterOf(cluster)) return
  await writeFile(file, [String(pidOfNobody), ...lines.slice(1)].join('\n'))
}

/** Fast shutdown: open transactions are rolled back, everything is on disk when it has ended. */
export async function shutDown(pid: number): Promise<void> {
  const deadlineMs = monotonicMs() + stopMs
  signal(pid, 'SIGINT')
  while (isAlive(pid)) {
    // An immediate shutdown loses nothing either: the next start recovers from the log.
    if (monotonicMs() > deadlineMs) signal(pid, 'SIGQUIT')
    await sleep(10)
  }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try { process.kill(pid, name) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
