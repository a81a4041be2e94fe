/**
 * Spare processes: started before there is work for them, they load what they can and wait.
 * Whoever needs a process takes one, which is there at once, instead of starting another.
 *
 *   loading ──▶ waiting ──begin, with its environment──▶ a process like any other
 *      └───────────┴── ends, or is dismissed: forgotten
 *
 * What a spare must do: TENFOLD_SPARE says what it loads; then it waits for the message
 * `begin`, makes the `env` in it its own, and does what it would have done at once without
 * TENFOLD_SPARE. Until then it ends on 'disconnect' like every child.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import type { Logger } from '../../base/log.ts'
import { after } from '../../base/time.ts'
import type { ChildMessage, SupervisorMessage } from './orchestrator.ts'

type Environment = Readonly<Record<string, string>>

export interface SparesOptions {
  /** What they run; only a process with the same command is taken from them. */
  readonly command: readonly string[]
  /** What they know before they have a role. */
  readonly env: Environment
  readonly log: Logger
  readonly nodePath?: string
  /** True: what they print is read by whoever takes them; otherwise it goes where this process prints. */
  readonly pipesOutput?: boolean
}

/** One to be had at any time. */
export interface Standby {
  /** What it loads. */
  readonly loads: string
  /** So long after one was taken the next is started: what took it comes first. */
  readonly pauseMs: number
}

/** Detached: Ctrl-C reaches the supervisor only, which then drains; the contract ends orphans. */
export function spawnProcess(nodePath: string, command: readonly string[], env: Environment, pipesOutput = false, prefix: readonly string[] = []): ChildProcess {
  const output = pipesOutput ? 'pipe' : 'inherit'
  const [program, ...argv] = [...prefix, nodePath, ...command]
  return spawn(program!, argv, { stdio: ['ignore', output, output, 'ipc'], detached: true, env: { ...process.env, ...env } })
}

export class Spares {
  readonly #options: SparesOptions
  readonly #waiting = new Set<ChildProcess>()
  #standby: Standby | null = null
  #cancel = () => {}

  constructor(options: SparesOptions) { this.#options = options }

  /** Those that have not been taken. */
  get pids(): readonly number[] { return [...this.#waiting].flatMap(child => child.pid ?? []) }

  start(loads: string): ChildProcess {
    const { nodePath = process.execPath, command, env, pipesOutput } = this.#options
    const child = spawnProcess(nodePath, command, { ...env, TENFOLD_SPARE: loads }, pipesOutput)
    this.#waiting.add(child)
    child.on('exit', () => { this.#waiting.delete(child) })
    child.on('error', () => { if (child.pid === undefined) this.#waiting.delete(child) })
    return child
  }

  /** A process that is on its way to being ready with this environment; null when there is none. */
  take(command: readonly string[], env: Environment): ChildProcess | null {
    if (command.join('\0') !== this.#options.command.join('\0')) return null
    for (const child of this.#waiting) {
      this.#waiting.delete(child)
      if (!child.connected || child.exitCode !== null || child.signalCode !== null) continue
      child.send({ type: 'begin', env } satisfies SupervisorMessage, () => {})
      this.#refill()
      return child
    }
    return null
  }

  /** From now on one is to be had, a moment after this and after each one that is taken. */
  keep(standby: Standby): void {
    this.#standby = standby
    this.#refill()
  }

  #refill(): void {
    this.#cancel()
    const standby = this.#standby
    if (!standby) return
    this.#cancel = after(standby.pauseMs, () => {
      if (this.#waiting.size > 0) return
      this.#watch(this.start(standby.loads))
    }, true)
  }

  #watch(child: ChildProcess): void {
    let reason: string | undefined
    child.on('message', message => {
      const heard = message as ChildMessage
      if (heard.type === 'failed') reason = heard.reason
    })
    // Before the handler of start(), which forgets it.
    child.prependListener('exit', (code, signal) => {
      if (!this.#waiting.has(child)) return
      if (signal !== null) return this.#refill()
      // It would end like this every time.
      this.#options.log.warn({ reason: reason ?? `exit code ${code}` }, 'the process on standby does not load, and a process that crashes now would not either')
    })
  }

  /** Ends those that wait, and keeps none from now on: what they have loaded is no longer wanted. */
  async dismiss(): Promise<void> {
    this.#standby = null
    this.#cancel()
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    await Promise.all(waiting.map(child => new Promise<void>(resolve => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return resolve()
      child.once('exit', () => resolve())
      child.kill('SIGKILL')
    })))
  }
}
