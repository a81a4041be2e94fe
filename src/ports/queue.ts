/**
 * The queue port: work to be done later, at least once, with retries.
 *
 * Contract
 * - An accepted job is durable before `enqueue` resolves and is claimed by one worker at a time.
 * - A job whose worker died is given to another one.
 * - `handle` resolves: done. It rejects: another attempt after a backoff, at most
 *   `attemptsMax`; then the job is dead, kept and listed until it is retried.
 * - Enqueuing an id that is still waiting changes nothing; of one that is done, runs it again:
 *   workers keep an inbox.
 * - A job does not start before runAtMs. Jobs of one `serial` text run one after another, in order of enqueuing.
 * - `stop` waits for running jobs up to graceMs, then aborts their signal; what was not finished runs again.
 */

export interface Job {
  readonly id: string
  /** `<service>.<job>`. */
  readonly name: string
  readonly payload: unknown
  readonly runAtMs?: number | undefined
  readonly attemptsMax: number
  readonly serial?: string | undefined
  /** Carried along for traces: W3C traceparent. */
  readonly traceparent?: string | undefined
}

export interface Attempt {
  readonly job: Job
  /** 1 for the first. */
  readonly attempt: number
  readonly signal: AbortSignal
}

export interface WorkOptions {
  readonly names: readonly string[]
  readonly concurrency: number
  handle(attempt: Attempt): Promise<void>
}

export interface Working { stop(graceMs: number): Promise<void> }

export interface QueueDepth {
  readonly waiting: number
  readonly running: number
  readonly scheduled: number
  readonly dead: number
  readonly oldestAgeMs: number
}

export interface DeadJob { readonly job: Job; readonly attempts: number; readonly error: string }

export interface Queue {
  open(): Promise<void>
  close(): Promise<void>
  enqueue(jobs: readonly Job[]): Promise<void>
  work(options: WorkOptions): Promise<Working>
  depth(): Promise<QueueDepth>
  dead(limit: number): Promise<DeadJob[]>
  /** Gives a dead job its attempts back; false when there is none with this id. */
  retry(id: string): Promise<boolean>
}
