/**
 * One worker of the queue.
 *
 *   claim (lease) ─▶ wait for a free place ─▶ handle ─▶ done: the row goes
 *                        └ failed: attempts + 1, later again; at attemptsMax: dead
 *   every renewMs the leases of what runs are renewed; a lease that ran out is anybody's.
 *   stop: no more claims; what waits is given back, uncounted, and so is what runs after
 *   graceMs, aborted.
 *
 * While jobs are short and there are plenty, it claims more than it runs at a time, and what
 * is done meanwhile goes in one statement.
 */
import type pg from 'pg'
import { backoffMs } from '../../base/backoff.ts'
import { Batcher } from '../../base/batcher.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { randomHex } from '../../base/random.ts'
import { after, every, monotonicMs, sleep } from '../../base/time.ts'
import { traceIdOf } from '../../base/traceparent.ts'
import type { Working, WorkOptions } from '../../ports/queue.ts'
import { ofRuntime } from './attribution.ts'
import { PrimaryClient } from './primary-client.ts'
import { jobOf } from './queue.ts'
import type { JobRow } from './queue.ts'

export interface JobWorkerOptions { readonly url: string; readonly log: Logger; readonly pool: pg.Pool; readonly sender: string }

const leaseMs = 4_000
const renewMs = 1_000
const pollMs = 500
const obeyMs = 100
/** At most so many are claimed ahead, and none once a job took longer than this. */
const aheadMax = 32
const shortMs = 50
/** The n-th failure waits up to 2^n × 200 ms, at most five minutes, with full jitter. */
const retry = { baseMs: 400, capMs: 300_000 }
const reconnect = { baseMs: 50, capMs: 1_000 }

// Of one serial text only the oldest job that is not dead may run. ANY (ARRAY …) and not IN:
// a plan made for any number of jobs would read the whole table, and one for a table thought
// to be tiny would run the subquery once per row, each time for LIMIT more jobs.
const claimText = ofRuntime('job', `
  UPDATE tenfold.job SET worker = $1, leased_until = now() + $2 * interval '1 ms', attempts = attempts + 1
  WHERE id = ANY (ARRAY(
    SELECT id FROM tenfold.job j
    WHERE dead_at IS NULL AND run_at <= now() AND name = ANY ($3) AND (worker IS NULL OR leased_until < now())
      AND (serial IS NULL OR NOT EXISTS (SELECT FROM tenfold.job o WHERE o.serial = j.serial AND o.dead_at IS NULL AND o.seq < j.seq))
    ORDER BY run_at, seq LIMIT $4 FOR UPDATE SKIP LOCKED))
  RETURNING *`)
const renewText = ofRuntime('job', `UPDATE tenfold.job SET leased_until = now() + $2 * interval '1 ms' WHERE worker = $1 AND id = ANY ($3)`)
const doneText = ofRuntime('job', 'DELETE FROM tenfold.job WHERE id = ANY ($1) AND worker = $2')
const failText = ofRuntime('job', `
  UPDATE tenfold.job SET worker = NULL, leased_until = NULL, error = $3, run_at = now() + $4 * interval '1 ms',
    dead_at = CASE WHEN attempts >= attempts_max THEN now() END WHERE id = $1 AND worker = $2`)
const giveBackText = ofRuntime('job', `UPDATE tenfold.job SET worker = NULL, leased_until = NULL, attempts = attempts - 1 WHERE id = ANY ($1) AND worker = $2`)

export class JobWorker implements Working {
  readonly #options: JobWorkerOptions
  readonly #work: WorkOptions
  readonly #id = `worker-${randomHex(8)}`
  readonly #running = new Map<string, Promise<void>>()
  /** Claimed, and not begun. */
  readonly #ahead: { readonly row: JobRow; leasedUntilMs: number }[] = []
  #aheadCount = 0
  /** False when the last claim found less than it asked for. */
  #more = true
  readonly #done = new Batcher(ids => this.#settle('job_done', doneText, [ids, this.#id]))
  readonly #stopping = new AbortController()
  readonly #cutting = new AbortController()
  readonly #loops: Promise<void>[]
  /** Resolves when it hears of new jobs, or could not connect and polls for now. */
  readonly listening: Promise<void>
  #listens = () => {}
  readonly #stopRenewing: () => void
  #woken = false
  #wake: (() => void) | undefined

  constructor(options: JobWorkerOptions, work: WorkOptions) {
    this.#options = options
    this.#work = work
    this.#stopRenewing = every(renewMs, () => this.#renew())
    this.listening = new Promise(resolve => { this.#listens = resolve })
    this.#loops = [this.#claimLoop(), this.#listenLoop()]
  }

  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort()
    this.wake()
    const idle = Promise.all([...this.#loops, this.#giveBackAhead()]).then(() => Promise.all(this.#running.values()))
    await Promise.race([idle, sleep(graceMs)])
    this.#cutting.abort()
    await idle
    this.#stopRenewing()
  }

  async #claimLoop(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted;) {
      const free = this.#work.concurrency + this.#aheadCount - this.#running.size - this.#ahead.length
      let claimed = 0
      this.#woken = false
      this.#more = true
      try {
        if (free > 0 && this.#ahead.length <= this.#aheadCount / 2) claimed = await this.#claim(free)
        failures = 0
      } catch (error) {
        failures++
        this.#options.log.debug({ err: error }, 'claiming jobs failed')
        await sleep(backoffMs(reconnect, Math.min(failures, 6)), this.#stopping.signal)
      }
      // Never on without a wait that lets the event loop turn.
      if (free <= 0 || claimed < free) await this.#wait()
    }
  }

  async #claim(count: number): Promise<number> {
    const leasedUntilMs = monotonicMs() + leaseMs
    const { rows } = await this.#options.pool.query<JobRow>({ name: 'job_claim', text: claimText, values: [this.#id, leaseMs, this.#work.names, count] })
    this.#more = rows.length === count
    this.#aheadCount = rows.length < count ? Math.floor(this.#aheadCount / 2) : Math.min(aheadMax, this.#aheadCount * 2 + this.#work.concurrency)
    this.#ahead.push(...rows.map(row => ({ row, leasedUntilMs })))
    if (this.#stopping.signal.aborted) await this.#giveBackAhead()
    this.#begin()
    return rows.length
  }

  #begin(): void {
    while (this.#running.size < this.#work.concurrency && this.#ahead.length > 0) {
      const { row, leasedUntilMs } = this.#ahead.shift()!
      // It could not be renewed in time and may be another worker's by now.
      if (monotonicMs() >= leasedUntilMs) continue
      this.#running.set(row.id, this.#run(row).finally(() => {
        this.#running.delete(row.id)
        this.#begin()
        // The next of its serial text has become free with it.
        if (this.#more || row.serial !== null) this.wake()
      }))
    }
  }

  async #giveBackAhead(): Promise<void> {
    const ids = this.#ahead.splice(0).map(({ row }) => row.id)
    if (ids.length > 0) await this.#settle('job_give_back', giveBackText, [ids, this.#id])
  }

  async #wait(): Promise<void> {
    if (this.#woken) return
    await new Promise<void>(resolve => {
      const cancel = after(pollMs, resolve)
      this.#wake = () => { cancel(); resolve() }
    })
    this.#wake = undefined
  }

  async #run(row: JobRow): Promise<void> {
    const signal = this.#cutting.signal
    const cut = new Promise<'cut'>(resolve => {
      const onAbort = () => { void sleep(obeyMs).then(() => resolve('cut')) }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
    const handled = Promise.resolve().then(() => this.#work.handle({ job: jobOf(row), attempt: row.attempts, signal }))
      .then(() => 'done' as const, (error: unknown) => ({ error }))
    const startedAtMs = monotonicMs()
    const outcome = await Promise.race([handled, cut])
    if (monotonicMs() - startedAtMs > shortMs) this.#aheadCount = 0
    if (outcome === 'done') return this.#done.add([row.id])
    if (outcome === 'cut' || signal.aborted) return this.#settle('job_give_back', giveBackText, [[row.id], this.#id])
    const message = String((outcome.error as Error | null)?.message ?? outcome.error)
    this.#options.log.warn({ err: outcome.error, intent: row.name, traceId: row.traceparent ? traceIdOf(row.traceparent) : undefined, id: row.id, attempt: row.attempts, attemptsMax: row.attempts_max }, 'a job failed')
    await this.#settle('job_fail', failText, [row.id, this.#id, message, backoffMs(retry, row.attempts)])
  }

  /** Writes down how an attempt ended, trying again while the lease may still be ours. */
  async #settle(name: string, text: string, values: unknown[]): Promise<void> {
    for (let attempt = 1; attempt <= 8; attempt++) {
      try {
        await this.#options.pool.query({ name, text, values })
        return
      } catch (error) {
        this.#options.log.debug({ err: error }, 'the outcome of a job could not be written yet')
        await sleep(backoffMs(reconnect, attempt))
      }
    }
  }

  async #renew(): Promise<void> {
    const ids = [...this.#running.keys(), ...this.#ahead.map(({ row }) => row.id)]
    if (ids.length === 0) return
    const [ahead, leasedUntilMs] = [[...this.#ahead], monotonicMs() + leaseMs]
    await this.#options.pool.query({ name: 'job_renew', text: renewText, values: [this.#id, leaseMs, ids] }).then(
      () => { for (const one of ahead) one.leasedUntilMs = leasedUntilMs },
      (error: unknown) => this.#options.log.debug({ err: error }, 'leases could not be renewed'))
  }

  /** Hears of jobs that other processes enqueued; without it they are found by polling. */
  async #listenLoop(): Promise<void> {
    const { signal } = this.#stopping
    const stopped = new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (!signal.aborted) {
      const client = new PrimaryClient({ connectionString: this.#options.url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold jobs' })
      const ended = new Promise<void>(resolve => { client.on('error', () => resolve()).on('end', resolve) })
      client.on('notification', ({ payload }) => { if (payload !== this.#options.sender) this.wake() })
      try {
        await client.connect()
        await client.query('LISTEN tenfold_job')
        this.#listens()
        await Promise.race([ended, stopped])
      } catch (error) {
        this.#options.log.debug({ err: error }, 'the job listener lost its connection')
      } finally {
        this.#listens()
        await client.end().catch(() => {})
      }
      await sleep(200, signal)
    }
  }
}
