/**
 * Varnish as a child process on loopback: working folder, configuration, start,
 * readiness, stop, and a new start when it dies. What it keeps is in memory: a new start
 * begins with an empty cache, so a purge it missed is not missing.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { accessSync, constants, readFileSync, statSync } from 'node:fs'
import { chown, mkdir, open, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { createHash } from 'node:crypto'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, sleep } from '../../base/time.ts'

export interface VarnishServerOptions {
  /** From `renderVcl`. */
  readonly vcl: string
  /** Its working folder goes to the sub-folder `varnish`. */
  readonly dataFolder: string
  readonly host?: string
  readonly port: number
  readonly storageBytesMax?: number
  readonly log: Logger
}

export interface VarnishServer {
  readonly url: string
  readonly port: number
  /** Of the process that runs now; null while it is down. */
  readonly pid: number | null
  stop(): Promise<void>
}

const startMs = 20_000
const stopMs = 5_000
const restart = { baseMs: 100, capMs: 5_000 }
const steadyMs = 10_000

const parameters: Readonly<Record<string, string>> = {
  // The origin's own variants, with its strong ETags, instead of ones that Varnish packs and weakens.
  http_gzip_support: 'off',
  // Room for many tags on one answer.
  http_resp_hdr_len: '20k',
  http_resp_size: '64k',
  workspace_backend: '128k',
  workspace_client: '128k',
  // The origin closes idle connections later than this, so that none is closed while it is used.
  backend_idle_timeout: '50',
  max_restarts: '4',
}

export async function startVarnishServer(options: VarnishServerOptions): Promise<VarnishServer> {
  const program = findProgram('varnishd')
  const folder = await workingFolder(options.dataFolder)
  await endPredecessor(folder)
  const vclFile = path.join(folder, 'tenfold.vcl')
  await writeConfiguration(vclFile, options.vcl)
  const guard = new Guard(program, argumentsOf(options, folder, vclFile), folder, options)
  await guard.start()
  return {
    url: `http://${options.host ?? '127.0.0.1'}:${options.port}`, port: options.port,
    get pid() { return guard.pid },
    stop: () => guard.stop(),
  }
}

function argumentsOf({ host = '127.0.0.1', port, storageBytesMax = 268_435_456 }: VarnishServerOptions, folder: string, vclFile: string): string[] {
  return [
    '-F', '-n', path.join(folder, 'work'), '-f', vclFile, '-a', `${host}:${port}`, '-T', 'none', '-P', path.join(folder, 'varnish.pid'),
    '-s', `malloc,${storageBytesMax}b`, ...Object.entries(parameters).flatMap(([name, value]) => ['-p', `${name}=${value}`]),
  ]
}

/** It has the secret in it. Started by root, Varnish reads it as the user it works as. */
async function writeConfiguration(file: string, text: string): Promise<void> {
  await rm(file, { force: true })
  await writeFile(file, text, { mode: 0o600, flag: 'wx' })
  const user = process.getuid?.() === 0 ? /^varnish:[^:]*:(\d+):(\d+):/m.exec(await readFile('/etc/passwd', 'utf8')) : null
  if (user) await chown(file, Number(user[1]), Number(user[2]))
}

/** On PATH or where Debian puts programs of the system. */
export function findProgram(name: string): string {
  for (const folder of [...(process.env.PATH ?? '').split(path.delimiter), '/usr/local/sbin', '/usr/sbin']) {
    const file = path.join(folder, name)
    try { accessSync(file, constants.X_OK); return file } catch { /* the next one */ }
  }
  throw fault('ENGINE_MISSING', `${name} is not installed: apt-get install varnish varnish-modules`)
}

/**
 * Varnish gives up root and then works as a user of its own, which must be able to walk
 * there: a folder that it cannot reach is replaced by one below the temporary files.
 */
async function workingFolder(dataFolder: string): Promise<string> {
  await mkdir(dataFolder, { recursive: true })
  const home = await realpath(dataFolder)
  const reachable = process.getuid?.() !== 0 || isTraversable(home)
  const folder = reachable ? path.join(home, 'varnish')
    : path.join(await realpath(os.tmpdir()), `tenfold-varnish-${createHash('sha256').update(home).digest('hex').slice(0, 16)}`)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  if (statSync(folder).uid !== process.getuid?.()) throw fault('UNAVAILABLE', `the folder ${folder} belongs to somebody else: remove it, or choose another TENFOLD_DATA`)
  return folder
}

function isTraversable(folder: string): boolean {
  for (let at = folder; ; at = path.dirname(at)) {
    if ((statSync(at).mode & 0o001) === 0) return false
    if (at === path.dirname(at)) return true
  }
}

/** A Varnish whose supervisor was killed still holds the port. Only one that works in this folder is ended. */
async function endPredecessor(folder: string): Promise<void> {
  const pid = Number(await readFile(path.join(folder, 'varnish.pid'), 'utf8').catch(() => ''))
  if (!(pid > 0) || !isOurs(pid, folder)) return
  const deadlineMs = monotonicMs() + stopMs
  while (isOurs(pid, folder)) {
    signal(pid, monotonicMs() > deadlineMs ? 'SIGKILL' : 'SIGTERM')
    await sleep(20)
  }
}

function isOurs(pid: number, folder: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(path.join(folder, 'work'))
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
  readonly #argv: readonly string[]
  readonly #logFile: string
  readonly #options: VarnishServerOptions
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(program: string, argv: readonly string[], folder: string, options: VarnishServerOptions) {
    this.#program = program
    this.#argv = argv
    this.#logFile = path.join(folder, 'varnish.log')
    this.#options = options
  }

  get pid(): number | null { return this.#child && this.#child.exitCode === null && this.#child.signalCode === null ? this.#child.pid ?? null : null }

  async start(): Promise<void> {
    const { host = '127.0.0.1', port } = this.#options
    if (await accepts(host, port)) throw fault('USAGE', `port ${port} is taken: stop what listens there, or choose another one for Varnish`)
    await this.#launch()
    const deadlineMs = monotonicMs() + startMs
    while (!await accepts(host, port)) {
      if (this.pid !== null && monotonicMs() < deadlineMs) { await sleep(10); continue }
      await this.stop()
      throw fault('UNAVAILABLE', `Varnish did not start on port ${port}: ${(await readFile(this.#logFile, 'utf8')).trim().slice(-1_000)} (log: ${this.#logFile})`)
    }
    void this.#watch()
  }

  async #launch(): Promise<void> {
    const output = await open(this.#logFile, 'w', 0o600)
    const child = spawn(this.#program, this.#argv, { stdio: ['ignore', output.fd, output.fd], detached: true })
    this.#child = child
    this.#ended = new Promise(resolve => { child.once('error', () => resolve()).once('exit', () => resolve()) })
    await output.close()
  }

  async #watch(): Promise<void> {
    let attempt = 0
    while (!this.#stopping.signal.aborted) {
      const startedMs = monotonicMs()
      await this.#ended
      if (this.#stopping.signal.aborted) return
      attempt = monotonicMs() - startedMs > steadyMs ? 1 : attempt + 1
      this.#options.log.warn({ port: this.#options.port }, 'Varnish has ended unasked; starting it again')
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
    await rm(path.join(path.dirname(this.#logFile), 'varnish.pid'), { force: true })
  }
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = net.connect(port, host)
    socket.once('connect', () => { socket.destroy(); resolve(true) }).once('error', () => resolve(false))
  })
}
