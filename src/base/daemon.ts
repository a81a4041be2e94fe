/**
 * An engine as a child process of the supervisor: a working folder, a log file, the start
 * and its readiness, a new start when it dies, and the end. A predecessor whose supervisor
 * was killed is ended first.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { mkdir, open, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { backoffMs } from './backoff.ts'
import { fault } from './errors.ts'
import type { Logger } from './log.ts'
import { monotonicMs, sleep } from './time.ts'

export interface DaemonOptions {
  /** For people: `Varnish`. */
  readonly title: string
  /** As `findProgram` found it. */
  readonly program: string
  /** Asked for again at each start. Must name `folder`, or a path in it: by that a predecessor is recognised. */
  readonly argv: () => readonly string[]
  /** Its own: the files `pid` and `log` go there. */
  readonly folder: string
  /** Descriptors that it inherits as 3 and up. */
  readonly descriptors?: () => readonly number[]
  /** True when it does what it is for. */
  readonly isReady: () => Promise<boolean>
  readonly stopSignal?: NodeJS.Signals
  readonly stopMs?: number
  readonly log: Logger
}

const startMs = 20_000
const stopMs = 5_000
const pollMs = 10
const restart = { baseMs: 100, capMs: 5_000 }
/** Who ran this long is started again at once. */
const steadyMs = 10_000

/** On PATH or where Debian puts programs of the system. */
export function findProgram(name: string, packages: readonly string[]): string {
  for (const folder of [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin']) {
    const file = path.join(folder, name)
    try { accessSync(file, constants.X_OK); return file } catch { /* the next one */ }
  }
  throw fault('ENGINE_MISSING', `${name} is not installed: apt-get install ${packages.join(' ')}`)
}

/** What to install, of a program that is looked for; null when it is there. */
export function mendOf(find: () => string): string | null {
  try { find(); return null } catch (error) { return (error as Error).message }
}

/**
 * The folder of an engine below the data folder. One that gives up root and works as a user of
 * its own must be able to walk there: what it cannot reach is replaced by one below the temporary files.
 */
export async function engineFolder(dataFolder: string, name: string, mode = 0o755): Promise<string> {
  await mkdir(dataFolder, { recursive: true })
  const home = await realpath(dataFolder)
  const isReachable = process.getuid?.() !== 0 || isTraversable(home)
  const folder = isReachable ? path.join(home, name)
    : path.join(await realpath(os.tmpdir()), `tenfold-${name}-${createHash('sha256').update(home).digest('hex').slice(0, 16)}`)
  await mkdir(folder, { recursive: true, mode })
  if (statSync(folder).uid !== process.getuid?.()) throw fault('UNAVAILABLE', `the folder ${folder} belongs to somebody else: remove it, or choose another TENFOLD_DATA`)
  return folder
}

function isTraversable(folder: string): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

/** True when somebody listens there. */
export function accepts(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, host)
    socket.once('connect', () => { socket.destroy(); resolve(true) }).once('error', () => resolve(false))
  })
}

export class Daemon {
  readonly #options: DaemonOptions
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()
  #launching: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined

  constructor(options: DaemonOptions) { this.#options = options }

  /** Of the process that runs now; null while it is down. */
  get pid(): number | null { return this.#child && this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid ?? null : null }

  get #pidFile(): string { return path.join(this.#options.folder, 'pid') }
  get #logFile(): string { return path.join(this.#options.folder, 'log') }

  /** Resolves when it is ready; rejects with the end of its log. */
  async start(): Promise<void> {
    const { title, isReady } = this.#options
    await this.#launch()
    const deadlineMs = monotonicMs() + startMs
    while (!await isReady()) {
      if (this.pid !== null && monotonicMs() < deadlineMs) { await sleep(pollMs); continue }
      await this.stop()
      throw fault('UNAVAILABLE', `${title} did not start: ${(await readFile(this.#logFile, 'utf8')).trim().slice(-1_000)} (log: ${this.#logFile})`)
    }
    void this.#watch()
  }

  /** Ends what a killed supervisor left behind. Only a process that names this folder is ended. */
  async endPredecessor(): Promise<void> {
    const pid = Number(await readFile(this.#pidFile, 'utf8').catch(() => ''))
    const { folder, stopMs: graceMs = stopMs } = this.#options
    if (!(pid > 0)) return
    const deadlineMs = monotonicMs() + graceMs
    while (names(pid, folder)) {
      signal(pid, monotonicMs() > deadlineMs ? 'SIGKILL' : this.#options.stopSignal ?? 'SIGTERM')
      await sleep(20)
    }
  }

  #launch(): Promise<void> { return this.#launching = this.#spawn() }

  async #spawn(): Promise<void> {
    const { program, argv, descriptors = () => [] } = this.#options
    const output = await open(this.#logFile, 'w', 0o600)
    const child = spawn(program, argv(), { stdio: ['ignore', output.fd, output.fd, ...descriptors()], detached: true })
    this.#child = child
    this.#ended = new Promise(resolve => { child.once('error', () => resolve()).once('exit', () => resolve()) })
    await output.close()
    if (child.pid !== undefined) await writeFile(this.#pidFile, String(child.pid))
  }

  async #watch(): Promise<void> {
    let attempt = 0
    while (!this.#stopping.signal.aborted) {
      const startedMs = monotonicMs()
      await this.#ended
      if (this.#stopping.signal.aborted) return
      attempt = monotonicMs() - startedMs > steadyMs ? 0 : attempt + 1
      this.#options.log.warn({ engine: this.#options.title }, `${this.#options.title} has ended unasked; starting it again`)
      if (attempt > 0) await sleep(backoffMs(restart, attempt), this.#stopping.signal)
      if (!this.#stopping.signal.aborted) await this.#launch()
    }
  }

  /** Ends a process that runs and does nothing any more; it is started again. */
  kill(): void {
    if (this.pid !== null) signal(this.pid, 'SIGKILL')
  }

  /** Resolves when the process is gone. */
  stop(): Promise<void> { return this.#stopped ??= this.#stop() }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    await this.#launching
    const { pid } = this
    if (pid === null) return
    signal(pid, this.#options.stopSignal ?? 'SIGTERM')
    await Promise.race([this.#ended, sleep(this.#options.stopMs ?? stopMs)])
    if (this.pid !== null) signal(pid, 'SIGKILL')
    await this.#ended
    await rm(this.#pidFile, { force: true })
  }
}

function names(pid: number, folder: string): boolean {
  try {
    const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return argv.some(one => one === folder || one.startsWith(folder + path.sep))
  } catch { return false }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try { process.kill(pid, name) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
