/**
 * One graphile-worker runner, kept running: it ends itself when it cannot write down the
 * outcome of a job, then its jobs are given back and another runner starts.
 */
import { EventEmitter } from 'node:events'
import { Logger as GraphileLogger, run } from 'graphile-worker'
import type { JobHelpers, Runner, TaskList, WorkerEvents, WorkerPool } from 'graphile-worker'
import type pg from 'pg'
import { backoffMs } from '../../base/backoff.ts'
import type { Logger } from '../../base/log.ts'
import { after, monotonicMs, sleep } from '../../base/time.ts'
import type { Job, Working, WorkOptions } from '../../ports/queue.ts'
import { releaseWorkers } from './worker-registry.ts'
import type { WorkerRegistry } from './worker-registry.ts'

export interface JobWorkerOptions {
  readonly pool: pg.Pool
  readonly log: Logger
  readonly registry: WorkerRegistry
}

/** How a job lies in graphile_worker: its key is the id, its task the name. */
export interface Wrapped { readonly payload: unknown; readonly serial?: string | undefined; readonly runAtMs?: number | undefined }

const pollMs = 1_000
const restart = { baseMs: 100, capMs: 5_000 }
/** How long a handler may take to obey its signal, and the engine to write down how its jobs ended. */
const obeyMs = 100
const settleMs = 3_000
/** A serial text is free once the outcome of its job is written, which nothing announces: look then, and once more for a slow disk. */
const serialNudgesMs = [4, 20]

/** graphile-worker's log lines: its news are our debugging, failed attempts are warnings. */
export const bridgeLog = (log: Logger): GraphileLogger => new GraphileLogger(() => (level, message, meta) => {
  if (level === 'error') log[meta?.failure ? 'debug' : 'warn'](message)
  else log.debug(message)
})

export function jobOf(id: string, name: string, attemptsMax: number, { payload, serial, runAtMs }: Wrapped): Job {
  return { id, name, payload: payload ?? null, attemptsMax, serial, runAtMs }
}

export class JobWorker implements Working {
  readonly #options: JobWorkerOptions
  readonly #work: WorkOptions
  readonly #stopping = new AbortController()
  readonly #cutting = new AbortController()
  readonly #interrupted: string[] = []
  readonly #done: Promise<void>
  #runner: Runner | undefined

  constructor(options: JobWorkerOptions, work: WorkOptions) {
    this.#options = options
    this.#work = work
    this.#done = this.#run()
  }

  async stop(graceMs: number): Promise<void> {
    const first = !this.#stopping.signal.aborted
    this.#stopping.abort()
    // stop() rejects when the runner has ended by itself; what matters is that #done resolves.
    if (first) void this.#runner?.stop().catch(() => {})
    await Promise.race([this.#done, sleep(graceMs)])
    this.#cutting.abort()
    await Promise.race([this.#done, sleep(obeyMs + settleMs)])
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      const startedAtMs = monotonicMs()
      await this.#runOnce().catch((error: unknown) => this.#options.log.warn({ err: error }, 'the job worker ended; starting it again'))
      if (monotonicMs() - startedAtMs > restart.capMs) attempt = 1
      if (!this.#stopping.signal.aborted) await sleep(backoffMs(restart, Math.min(attempt, 8)), this.#stopping.signal)
    }
  }

  async #runOnce(): Promise<void> {
    const { pool, log, registry } = this.#options
    const events = new EventEmitter() as WorkerEvents
    let id = ''
    let registered = Promise.resolve()
    let workers: WorkerPool | undefined
    events.on('pool:create', ({ workerPool }) => { workers = workerPool; id = workerPool.id; registered = registry.add(id) })
    events.on('job:complete', ({ job }) => {
      if (job.job_queue_id !== null) for (const delayMs of serialNudgesMs) after(delayMs, () => workers?.nudge(1), true)
    })
    const task = (payload: unknown, helpers: JobHelpers) => registered.then(() => this.#attempt(payload as Wrapped, helpers))
    const taskList: TaskList = Object.fromEntries(this.#work.names.map(name => [name, task]))
    try {
      this.#runner = await run({
        pgPool: pool, taskList, events, concurrency: this.#work.concurrency, noHandleSignals: true, pollInterval: pollMs, logger: bridgeLog(log),
        parsedCronItems: [],
        // Outcomes in batches: unbatched ones are not awaited by 0.18, so that a lost connection would end the process.
        preset: { worker: { completeJobBatchDelay: 0, failJobBatchDelay: 0 } },
      })
      if (this.#stopping.signal.aborted) void this.#runner.stop().catch(() => {})
      await this.#runner.promise
    } finally {
      if (id !== '') {
        registry.remove(id)
        await releaseWorkers(pool, [id]).catch((error: unknown) => log.debug({ err: error }, 'the jobs of an ended worker wait for the next sweep'))
        await this.#giveBack()
      }
    }
  }

  async #attempt(wrapped: Wrapped, helpers: JobHelpers): Promise<void> {
    const { job } = helpers
    const signal = this.#cutting.signal
    if (signal.aborted) { this.#interrupted.push(job.id); throw new Error('the worker is stopping') }
    const cut = new Promise<never>((_, reject) => signal.addEventListener('abort', () => {
      void sleep(obeyMs).then(() => reject(new Error('the worker stopped before the job was done')))
    }, { once: true }))
    cut.catch(() => {})
    const handled = Promise.resolve().then(() => this.#work.handle({
      job: jobOf(job.key ?? job.id, job.task_identifier, job.max_attempts, wrapped), attempt: job.attempts, signal,
    }))
    try {
      await Promise.race([handled, cut])
    } catch (error) {
      if (signal.aborted) this.#interrupted.push(job.id)
      throw error
    }
  }

  /** An attempt that was cut off by a stop does not count, and need not wait. */
  async #giveBack(): Promise<void> {
    const ids = this.#interrupted.splice(0)
    if (ids.length === 0) return
    await this.#options.pool.query(`UPDATE graphile_worker._private_jobs SET attempts = greatest(0, attempts - 1), run_at = now()
      WHERE id = ANY ($1::bigint[]) AND locked_at IS NULL`, [ids]).catch(() => {})
  }
}
