/**
 * Redis as a child process on a socket in the data folder: start, readiness, stop, and a new
 * start when it dies. Its configuration, with the password, goes through its standard input
 * and is written nowhere.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createHash, createHmac } from 'node:crypto'
import { accessSync, constants, readFileSync, readlinkSync } from 'node:fs'
import { mkdir, open, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, sleep } from '../../base/time.ts'

/** `cache`: may forget, and makes room. `state`: keeps what it has on disk, and refuses when it is full. */
export type RedisPurpose = 'cache' | 'state'

export interface RedisPlace {
  /** Its folder is a sub-folder named after the purpose. */
  readonly dataFolder: string
  readonly purpose: RedisPurpose
  /** The deployment's: the password is made from it. */
  readonly secret: Buffer
}

export interface RedisServerOptions extends RedisPlace {
  readonly memoryBytesMax: number
  readonly log: Logger
}

export interface RedisServer {
  readonly url: string
  /** Of the process that runs now; null while it is down. */
  readonly pid: number | null
  stop(): Promise<void>
}

const startMs = 10_000
const stopMs = 5_000
const restart = { baseMs: 50, capMs: 5_000 }
const steadyMs = 10_000
/** The longest name of a socket that every system takes. */
const socketBytesMax = 100

const passwordOf = (secret: Buffer): string => createHmac('sha256', secret).update('tenfold redis').digest('hex')

function folderOf({ dataFolder, purpose }: RedisPlace): string {
  const home = path.resolve(dataFolder)
  const folder = path.join(home, purpose === 'cache' ? 'redis' : 'redis-state')
  if (Buffer.byteLength(path.join(folder, 'redis.sock')) <= socketBytesMax) return folder
  return path.join(os.tmpdir(), `tenfold-redis-${createHash('sha256').update(folder).digest('hex').slice(0, 16)}`)
}

/** Where the server of this folder listens, whether it runs or not. */
export const embeddedRedisUrl = (place: RedisPlace): string =>
  `unix:${encodeURI(path.join(folderOf(place), 'redis.sock'))}?password=${passwordOf(place.secret)}`

export async function startRedisServer(options: RedisServerOptions): Promise<RedisServer> {
  const program = findProgram('redis-server')
  const folder = folderOf(options)
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await stat(folder)).uid !== process.getuid?.()) throw fault('UNAVAILABLE', `the folder ${folder} belongs to somebody else: remove it, or choose another TENFOLD_DATA`)
  await endPredecessor(folder)
  const guard = new Guard(program, folder, options)
  await guard.start()
  return { url: embeddedRedisUrl(options), get pid() { return guard.pid }, stop: () => guard.stop() }
}

function settingsOf({ purpose, memoryBytesMax, secret }: RedisServerOptions, folder: string): string {
  const settings: Readonly<Record<string, string>> = {
    port: '0', unixsocket: quoted(path.join(folder, 'redis.sock')), unixsocketperm: '700', requirepass: passwordOf(secret), dir: quoted(folder),
    databases: '1', save: '""', 'set-proc-title': 'no', maxmemory: String(memoryBytesMax),
    ...purpose === 'cache' ? { 'maxmemory-policy': 'allkeys-lru', appendonly: 'no' } : { 'maxmemory-policy': 'noeviction', appendonly: 'yes', appendfsync: 'everysec' },
  }
  return Object.entries(settings).map(([name, value]) => `${name} ${value}\n`).join('')
}

const quoted = (text: string): string => JSON.stringify(text)

function findProgram(name: string): string {
  for (const folder of [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/bin', '/usr/bin', '/usr/sbin']) {
    const file = path.join(folder, name)
    try { accessSync(file, constants.X_OK); return file } catch { /* the next one */ }
  }
  throw fault('ENGINE_MISSING', `${name} is not installed: apt-get install redis-server; or give the topology the url of a Redis`)
}

/** Null where the program of an embedded Redis is found, else the mend. */
export function redisMend(): string | null {
  try { findProgram('redis-server'); return null } catch (error) { return (error as Error).message }
}

/** A Redis whose supervisor was killed. Only one that works in this folder is ended. */
async function endPredecessor(folder: string): Promise<void> {
  const pid = Number(await readFile(path.join(folder, 'redis.pid'), 'utf8').catch(() => ''))
  const home = await realpath(folder)
  const deadlineMs = monotonicMs() + stopMs
  while (pid > 0 && isOurs(pid, home)) {
    signal(pid, monotonicMs() > deadlineMs ? 'SIGKILL' : 'SIGTERM')
    await sleep(20)
  }
}

function isOurs(pid: number, folder: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/cwd`) === folder && readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('redis-server')
  } catch { return false }
}

function signal(pid: number, name: NodeJS.Signals): void {
  try { process.kill(pid, name) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** Keeps one process running until `stop`. */
class Guard {
  readonly #program: string
  readonly #folder: string
  readonly #options: RedisServerOptions
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(program: string, folder: string, options: RedisServerOptions) {
    this.#program = program
    this.#folder = folder
    this.#options = options
  }

  get pid(): number | null { return this.#child && this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid ?? null : null }

  async start(): Promise<void> {
    await this.#launch()
    const deadlineMs = monotonicMs() + startMs
    while (!await answers(path.join(this.#folder, 'redis.sock'), passwordOf(this.#options.secret))) {
      if (this.pid !== null && monotonicMs() < deadlineMs) { await sleep(10); continue }
      await this.stop()
      const log = path.join(this.#folder, 'redis.log')
      throw fault('UNAVAILABLE', `Redis did not start in ${this.#folder}: ${(await readFile(log, 'utf8')).trim().slice(-1_000)} (log: ${log})`)
    }
    void this.#watch()
  }

  async #launch(): Promise<void> {
    const output = await open(path.join(this.#folder, 'redis.log'), 'w', 0o600)
    const child = spawn(this.#program, ['-'], { stdio: ['pipe', output.fd, output.fd], detached: true, cwd: this.#folder })
    this.#child = child
    this.#ended = new Promise(resolve => { child.once('error', () => resolve()).once('exit', () => resolve()) })
    // It may die before it has read them, which its end tells.
    child.stdin!.on('error', () => {}).end(settingsOf(this.#options, this.#folder))
    await output.close()
    if (child.pid !== undefined) await writeFile(path.join(this.#folder, 'redis.pid'), String(child.pid))
  }

  async #watch(): Promise<void> {
    let attempt = 0
    while (!this.#stopping.signal.aborted) {
      const startedMs = monotonicMs()
      await this.#ended
      if (this.#stopping.signal.aborted) return
      attempt = monotonicMs() - startedMs > steadyMs ? 1 : attempt + 1
      this.#options.log.warn({ folder: this.#folder }, 'Redis has ended unasked; starting it again')
      await sleep(backoffMs(restart, attempt), this.#stopping.signal)
      if (!this.#stopping.signal.aborted) await this.#launch()
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    const { pid } = this
    if (pid === null) return
    signal(pid, 'SIGTERM')
    await Promise.race([this.#ended, sleep(stopMs)])
    if (this.pid !== null) signal(pid, 'SIGKILL')
    await this.#ended
    await rm(path.join(this.#folder, 'redis.pid'), { force: true })
  }
}

/** What a state keeps is read before it answers. */
function answers(socket: string, password: string): Promise<boolean> {
  return new Promise(resolve => {
    const connection = net.connect(socket)
    const done = (answer: boolean) => { connection.destroy(); resolve(answer) }
    let heard = ''
    connection.setTimeout(1_000, () => done(false)).once('error', () => done(false)).once('end', () => done(false))
    connection.on('data', data => { heard += String(data); if (heard.split('\r\n').length > 2) done(heard.includes('+PONG')) })
    connection.write(`AUTH ${password}\r\nPING\r\n`)
  })
}
