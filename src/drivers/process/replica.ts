/** One supervised child process: started, started again when it ends unasked, drained. */
import type { ChildProcess } from 'node:child_process'
import { backoffMs } from '../../base/backoff.ts'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { after, monotonicMs, now } from '../../base/time.ts'
import type { ProcessAnswer, ProcessSpec, ProcessState, Question } from '../../ports/orchestrator.ts'
import type { Door, Seat } from './listener.ts'
import type { ChildMessage, SupervisorMessage, TakeOutput } from './orchestrator.ts'

export interface ReplicaOptions {
  readonly spec: ProcessSpec
  readonly replica: number
  readonly listener: Door | undefined
  /** Starts the process, or takes one that waits for work. */
  readonly launch: (command: readonly string[], env: Readonly<Record<string, string>>) => ChildProcess
  /** Puts a process under the limit it has; what it returns takes that back when the process has ended. */
  readonly limit?: ((pid: number) => () => void) | undefined
  readonly log: Logger
  readonly onOutput: TakeOutput | undefined
}

/** A process that ran this long was well: the next restart is immediate again. */
export const restartWindowMs = 10_000
/** So often may a process fail before it was ready for the first time; once only when trying again cannot help. */
export const firstAttemptsMax = 3
const readyMs = 30_000
const killMarginMs = 500
/** One that is not ready yet has no caller to finish for. */
const startingGraceMs = 1_000
const answerMs = 2_000
const restartBackoff = { baseMs: 100, capMs: 5_000 }

export class Replica {
  /** Settles when the process was ready for the first time, or has failed to be. */
  readonly ready: Promise<void>
  readonly #options: ReplicaOptions
  readonly #readiness = Promise.withResolvers<void>()
  #child: ChildProcess | null = null
  #state: ProcessState['state'] = 'starting'
  #wasReady = false
  #restarts = 0
  /** Ends in a row, each within restartWindowMs of its start. */
  #quickEnds = 0
  #startedAtMs = 0
  #startedMonotonicMs = 0
  #questions = 0
  #cancel = () => {}
  #unlimit = () => {}
  #seat: Seat | undefined
  /** What the process said about why it cannot start. */
  #reason: string | undefined
  #isHopeless = false
  #stopped: Promise<void> | undefined

  constructor(options: ReplicaOptions) {
    this.#options = options
    this.ready = this.#readiness.promise
    this.ready.catch(() => {})
    this.#start()
  }

  get state(): ProcessState {
    const { spec, replica } = this.#options
    return { name: spec.name, replica, pid: this.#child?.pid ?? null, state: this.#state, restarts: this.#restarts, startedAtMs: this.#startedAtMs }
  }

  /** True when it gave up or was told to stop: it will not run again. */
  get isOver(): boolean { return this.#state === 'stopped' || this.#stopped !== undefined }

  #start(): void {
    const { spec, replica, launch, onOutput } = this.#options
    this.#state = 'starting'
    this.#reason = undefined
    this.#isHopeless = false
    this.#startedAtMs = now()
    this.#startedMonotonicMs = monotonicMs()
    const child = launch(spec.command, { ...spec.env, TENFOLD_PROCESS: spec.name, TENFOLD_REPLICA: String(replica) })
    this.#child = child
    this.#limit(child)
    if (child.stdout && child.stderr) onOutput?.(`${spec.name}.${replica}`, child.stdout, child.stderr)
    child.on('message', message => { if (this.#child === child) this.#hear(child, message as ChildMessage) })
    let over = false
    const end = (how: string) => { if (!over) { over = true; this.#ended(how) } }
    child.on('exit', (code, signal) => end(signal ?? `exit code ${code}`))
    child.on('error', error => { if (child.pid === undefined) end(error.message) })
    this.#cancel = after(readyMs, () => {
      this.#options.log.error({ child: `${spec.name}.${replica}` }, `not ready after ${readyMs} ms: killed`)
      child.kill('SIGKILL')
    })
  }

  /** Rather none than one without its limit. */
  #limit(child: ChildProcess): void {
    const { limit, spec, replica, log } = this.#options
    if (!limit || child.pid === undefined) return
    try { this.#unlimit = limit(child.pid) } catch (error) {
      log.error({ err: error, child: `${spec.name}.${replica}` }, 'the processor time of a process could not be limited')
      this.#reason = `its processor time could not be limited: ${(error as Error).message}`
      child.kill('SIGKILL')
    }
  }

  #hear(child: ChildProcess, message: ChildMessage): void {
    if (message.type === 'ready') this.#joins(child, message.port)
    if (message.type === 'listening') this.#becameReady()
    if (message.type === 'took') this.#seat?.took(message.id)
    if (message.type === 'failed') [this.#reason, this.#isHopeless] = [message.reason, message.isHopeless === true]
    if (message.type !== 'draining') return
    void this.#seat?.leave()
    this.#state = 'draining'
  }

  #joins(child: ChildProcess, port?: number): void {
    if (this.#state !== 'starting') return
    this.#seat = this.#options.listener?.join(child, port)
    // What never resolves ends with the time for the start.
    if (this.#seat?.joined) void this.#seat.joined.then(() => { if (this.#child === child) this.#becameReady() }, () => {})
    else if (!this.#seat?.isHeard) this.#becameReady()
  }

  #becameReady(): void {
    if (this.#state !== 'starting') return
    this.#cancel()
    this.#state = 'ready'
    this.#wasReady = true
    this.#readiness.resolve()
  }

  #ended(how: string): void {
    this.#cancel()
    this.#unlimit()
    this.#unlimit = () => {}
    this.#child = null
    this.#seat?.vacate()
    this.#seat = undefined
    if (this.#stopped) return
    const { spec, replica, log } = this.#options
    const ranMs = monotonicMs() - this.#startedMonotonicMs
    this.#quickEnds = ranMs < restartWindowMs ? this.#quickEnds + 1 : 1
    // It has said why, and whoever waits for it is told.
    if (!this.#wasReady && this.#isHopeless) return this.#giveUp()
    log.warn({ child: `${spec.name}.${replica}`, how, ranMs: Math.round(ranMs) }, 'a process has ended unasked')
    if (!this.#wasReady && this.#quickEnds >= firstAttemptsMax) return this.#giveUp(`it ended ${firstAttemptsMax} times, the last time with ${how}; `)
    this.#state = 'backing-off'
    this.#restarts++
    // The first restart is immediate, for the callers that wait.
    const delayMs = this.#quickEnds === 1 ? 0 : backoffMs(restartBackoff, this.#quickEnds - 1)
    this.#cancel = after(delayMs, () => this.#start())
  }

  #giveUp(times = ''): void {
    const { spec, replica } = this.#options
    this.#state = 'stopped'
    this.#readiness.reject(fault('UNAVAILABLE', `the process ${spec.name} (replica ${replica}) did not become ready: ${times}${this.#reason ?? 'see its output in the log'}`))
  }

  /** What the process answers; null when it is not ready, ends, or takes too long. */
  async ask(question: Question, payload?: unknown): Promise<ProcessAnswer | null> {
    const { spec, replica } = this.#options
    const child = this.#child
    if (this.#state !== 'ready' || !child?.connected) return null
    const id = this.#questions++
    const { promise, resolve } = Promise.withResolvers<ProcessAnswer | null>()
    const silent = () => resolve(null)
    const listen = (message: unknown) => {
      const heard = message as ChildMessage
      if (heard.type === question && heard.id === id) resolve({ name: spec.name, replica, answer: heard.answer })
    }
    child.on('message', listen).once('exit', silent)
    const cancel = after(answerMs, silent)
    child.send({ type: question, id, payload } satisfies SupervisorMessage, error => { if (error) silent() })
    return promise.finally(() => { cancel(); child.off('message', listen).off('exit', silent) })
  }

  /** Drains, then kills after graceMs and a margin. Resolves when the process is gone. */
  stop(graceMs: number, lingerMs?: number): Promise<void> {
    return this.#stopped ??= this.#end(graceMs, lingerMs)
  }

  async #end(graceMs: number, lingerMs?: number): Promise<void> {
    this.#cancel()
    this.#readiness.reject(fault('DRAINING', `the process ${this.#options.spec.name} was stopped before it was ready`))
    const child = this.#child
    if (child) {
      const givenMs = this.#state === 'starting' ? Math.min(graceMs, startingGraceMs) : graceMs
      this.#state = 'draining'
      const begunMs = monotonicMs()
      await this.#seat?.leave(givenMs)
      // What goes on then has the rest.
      const restMs = Math.max(givenMs - (monotonicMs() - begunMs), 0)
      const gone = new Promise<void>(resolve => { child.once('exit', () => resolve()); child.once('error', () => { if (child.pid === undefined) resolve() }) })
      if (child.connected) child.send({ type: 'drain', graceMs: restMs, lingerMs } satisfies SupervisorMessage, () => {})
      const cancelKill = after(restMs + killMarginMs, () => {
        this.#options.log.warn({ child: `${this.#options.spec.name}.${this.#options.replica}`, childPid: child.pid }, 'a process did not end in time: killed')
        child.kill('SIGKILL')
      })
      await gone
      cancelKill()
    }
    this.#state = 'stopped'
  }
}
