/**
 * The queue port on Postgres: a table, SKIP LOCKED, and leases. A worker leases the jobs
 * it claims and renews while it lives; what a dead worker, a cut connection or a restart
 * of the engine left behind is claimed again when its lease has run out. docs/decisions/0003.
 */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { randomHex } from '../../base/random.ts'
import { after } from '../../base/time.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import type { DeadJob, Job, Queue, QueueDepth, Working, WorkOptions } from '../../ports/queue.ts'
import { ofRuntime } from './attribution.ts'
import { JobWorker } from './job-worker.ts'
import { observePools, stateOf } from './pool-metrics.ts'
import { primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

export interface PostgresQueueOptions { readonly url: string; readonly log: Logger; readonly metrics?: MetricRegistry | null }

const notifyDelayMs = 5
// A waiting id is left as it is; one that is dead or done is enqueued anew.
const enqueueText = ofRuntime('job', `
  INSERT INTO tenfold.job (id, name, payload, serial, run_at, asked_at, attempts_max, traceparent)
  SELECT id, name, payload, serial, coalesce(run_at, now()), run_at, attempts_max, traceparent
  FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::text[], $5::timestamptz[], $6::int[], $7::text[])
    WITH ORDINALITY AS job (id, name, payload, serial, run_at, attempts_max, traceparent, position) ORDER BY position
  ON CONFLICT (id) DO NOTHING`)
const depthText = ofRuntime('job', `
  SELECT count(*) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at <= now()) AS waiting,
    count(*) FILTER (WHERE worker IS NOT NULL AND dead_at IS NULL) AS running,
    count(*) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at > now()) AS scheduled,
    count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
    extract(epoch FROM now() - min(run_at) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at <= now()))::float8 * 1000 AS oldest
  FROM tenfold.job`)

export interface JobRow {
  readonly id: string; readonly name: string; readonly payload: unknown; readonly serial: string | null
  readonly asked_at: Date | null; readonly attempts: number; readonly attempts_max: number; readonly error: string | null
  readonly traceparent: string | null
}

export const jobOf = (row: JobRow): Job => ({
  id: row.id, name: row.name, payload: row.payload, attemptsMax: row.attempts_max,
  serial: row.serial ?? undefined, runAtMs: row.asked_at?.getTime(), traceparent: row.traceparent ?? undefined,
})

export const openPostgresQueue = (options: PostgresQueueOptions): Queue => new PostgresQueue(options)

class PostgresQueue implements Queue {
  readonly #options: PostgresQueueOptions
  readonly #pool: pg.Pool
  readonly #workers = new Set<JobWorker>()
  readonly #sender = randomHex(6)
  #notifies = false
  #closed = false

  constructor(options: PostgresQueueOptions) {
    this.#options = options
    this.#pool = primaryPool({ connectionString: options.url, max: 6, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold queue' })
    this.#pool.on('error', () => {})
    observePools(options.metrics, () => [stateOf('tenfold', 'queue', this.#pool)])
  }

  async open(): Promise<void> { await this.#query('SELECT 1') }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#workers].map(worker => worker.stop(limits.drainMs)))
    await this.#pool.end()
  }

  async enqueue(jobs: readonly Job[]): Promise<void> {
    if (jobs.length === 0) return
    const payloads = jobs.map(({ name, payload }) => {
      const text = JSON.stringify(payload ?? null)
      if (Buffer.byteLength(text) > limits.payloadBytesMax) throw fault('PAYLOAD_TOO_LARGE', `the payload of ${name} is larger than ${limits.payloadBytesMax} bytes: put the rest in a table and send its id`)
      return text
    })
    await this.#query({ name: 'queue_enqueue', text: enqueueText }, [
      jobs.map(job => job.id), jobs.map(job => job.name), payloads, jobs.map(job => job.serial ?? null),
      jobs.map(job => job.runAtMs === undefined ? null : new Date(job.runAtMs)), jobs.map(job => job.attemptsMax),
      jobs.map(job => job.traceparent ?? null),
    ])
    for (const worker of this.#workers) worker.wake()
    this.#notify()
  }

  /** Soon, and once for many: workers of other processes. Those of this one have been woken. */
  #notify(): void {
    if (this.#notifies) return
    this.#notifies = true
    after(notifyDelayMs, () => {
      this.#notifies = false
      if (!this.#closed) this.#pool.query(`SELECT pg_notify('tenfold_job', $1)`, [this.#sender]).catch(() => {})
    }, true)
  }

  async work(work: WorkOptions): Promise<Working> {
    if (this.#closed) throw fault('UNAVAILABLE', 'the queue is closed')
    const worker = new JobWorker({ ...this.#options, pool: this.#pool, sender: this.#sender }, work)
    this.#workers.add(worker)
    await worker.listening
    return { stop: async graceMs => { await worker.stop(graceMs); this.#workers.delete(worker) } }
  }

  async depth(): Promise<QueueDepth> {
    const [row] = await this.#query<Record<'waiting' | 'running' | 'scheduled' | 'dead', string> & { oldest: number | null }>(depthText)
    const { waiting, running, scheduled, dead, oldest } = row!
    return { waiting: Number(waiting), running: Number(running), scheduled: Number(scheduled), dead: Number(dead), oldestAgeMs: Math.max(0, oldest ?? 0) }
  }

  async dead(limit: number): Promise<DeadJob[]> {
    const rows = await this.#query<JobRow>('SELECT * FROM tenfold.job WHERE dead_at IS NOT NULL ORDER BY seq LIMIT $1', [limit])
    return rows.map(row => ({ job: jobOf(row), attempts: row.attempts, error: row.error ?? '' }))
  }

  async retry(id: string): Promise<boolean> {
    const rows = await this.#query('UPDATE tenfold.job SET attempts = 0, dead_at = NULL, error = NULL, run_at = now() WHERE id = $1 AND dead_at IS NOT NULL RETURNING id', [id])
    for (const worker of this.#workers) worker.wake()
    return rows.length > 0
  }

  /** Prepared when it has a name. */
  async #query<Row extends pg.QueryResultRow>(statement: string | { name: string; text: string }, values: unknown[] = []): Promise<Row[]> {
    if (this.#closed) throw fault('UNAVAILABLE', 'the queue is closed')
    const { rows } = await this.#pool.query<Row>(typeof statement === 'string' ? { text: statement, values } : { ...statement, values }).catch((error: unknown) => { throw refusalOf(error) })
    return rows
  }
}
