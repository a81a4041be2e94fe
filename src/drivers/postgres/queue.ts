/**
 * The queue port on Postgres, by graphile-worker in its own schema `graphile_worker`.
 *
 * The n-th failure of a job delays it by e^n seconds (2.7 s, 7.4 s, 20 s, …, at most 6 h).
 * Jobs of one serial text run in order of enqueuing; one that failed lets the later ones
 * pass while it waits for its next attempt. A dead worker's jobs come back within seconds.
 */
import { runMigrations } from 'graphile-worker'
import pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { DeadJob, Job, Queue, QueueDepth } from '../../ports/queue.ts'
import { bridgeLog, jobOf, JobWorker } from './job-worker.ts'
import type { Wrapped } from './job-worker.ts'
import { refusalOf } from './refusal.ts'
import { registryTableText, WorkerRegistry } from './worker-registry.ts'

export interface PostgresQueueOptions {
  readonly url: string
  readonly log: Logger
}

const connectionsMax = 6

// clock_timestamp() grows from row to row: the order of enqueuing, which graphile-worker takes from run_at.
// unsafe_dedupe leaves a job that is waiting, running or dead as it is.
const enqueueText = `
  SELECT count(graphile_worker.add_job(name, payload, serial, coalesce(to_timestamp(run_at_ms / 1000), clock_timestamp()), attempts_max, id, 0, NULL, 'unsafe_dedupe'))
  FROM unnest($1::text[], $2::text[], $3::json[], $4::text[], $5::float8[], $6::int[]) AS job (id, name, payload, serial, run_at_ms, attempts_max)`
const depthText = `
  SELECT count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at <= now())::int AS waiting,
    count(*) FILTER (WHERE locked_at IS NOT NULL)::int AS running,
    count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at > now())::int AS scheduled,
    count(*) FILTER (WHERE locked_at IS NULL AND attempts >= max_attempts)::int AS dead,
    coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at <= now())) * 1000, 0)::float8 AS "oldestAgeMs"
  FROM graphile_worker._private_jobs`
const deadText = `
  SELECT job.key, task.identifier AS name, job.payload, job.attempts, job.max_attempts, job.last_error
  FROM graphile_worker._private_jobs AS job JOIN graphile_worker._private_tasks AS task ON task.id = job.task_id
  WHERE job.locked_at IS NULL AND job.attempts >= job.max_attempts AND job.key IS NOT NULL ORDER BY job.id LIMIT $1`
const retryText = `
  WITH revived AS (
    UPDATE graphile_worker._private_jobs SET attempts = 0, run_at = now(), updated_at = now()
    WHERE key = $1 AND locked_at IS NULL AND attempts >= max_attempts RETURNING id)
  SELECT pg_notify('jobs:insert', '{"count":1}') FROM revived`

interface DeadRow { readonly key: string; readonly name: string; readonly payload: Wrapped; readonly attempts: number; readonly max_attempts: number; readonly last_error: string | null }

export const openPostgresQueue = (options: PostgresQueueOptions): Queue => new PostgresQueue(options)

class PostgresQueue implements Queue {
  readonly #url: string
  readonly #log: Logger
  readonly #pool: pg.Pool
  readonly #workers = new Map<JobWorker, pg.Pool>()
  #registry: WorkerRegistry | undefined
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor({ url, log }: PostgresQueueOptions) {
    this.#url = url
    this.#log = log
    this.#pool = this.#newPool(connectionsMax)
  }

  open(): Promise<void> {
    this.#opening ??= this.#prepare().catch((error: unknown) => { this.#opening = undefined; throw refusalOf(error) })
    return this.#opening
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await this.#opening?.catch(() => {})
      await Promise.all([...this.#workers.keys()].map(worker => worker.stop(0)))
      await this.#registry?.close()
      await Promise.all([...this.#workers.values(), this.#pool].map(pool => pool.ended || pool.ending ? undefined : pool.end()))
    })()
    return this.#closing
  }

  async enqueue(jobs: readonly Job[]): Promise<void> {
    if (jobs.length === 0) return
    for (const { name, payload } of jobs) {
      const bytes = Buffer.byteLength(JSON.stringify(payload) ?? '')
      if (bytes > limits.payloadBytesMax) throw fault('PAYLOAD_TOO_LARGE', `the payload of ${name} has ${bytes} bytes; at most ${limits.payloadBytesMax}`)
    }
    const wrapped = jobs.map(({ payload, serial, runAtMs }) => JSON.stringify({ payload: payload ?? null, serial, runAtMs } satisfies Wrapped))
    // graphile-worker counts attempts in a smallint.
    const attempts = jobs.map(job => Math.min(job.attemptsMax, 32_767))
    await this.#query('queue_enqueue', enqueueText, [jobs.map(job => job.id), jobs.map(job => job.name), wrapped, jobs.map(job => job.serial ?? null), jobs.map(job => job.runAtMs ?? null), attempts])
  }

  async work(options: Parameters<Queue['work']>[0]): ReturnType<Queue['work']> {
    if (this.#closing) throw fault('UNAVAILABLE', 'the queue is closed')
    await this.open()
    this.#registry ??= new WorkerRegistry(this.#url, this.#log)
    const pool = this.#newPool(Math.min(options.concurrency, connectionsMax) + 2)
    const worker = new JobWorker({ pool, log: this.#log, registry: this.#registry }, options)
    this.#workers.set(worker, pool)
    return {
      stop: async graceMs => {
        await worker.stop(graceMs)
        if (this.#workers.delete(worker)) await pool.end()
      },
    }
  }

  async depth(): Promise<QueueDepth> {
    return (await this.#query<QueueDepth>('queue_depth', depthText, []))[0]!
  }

  async dead(limit: number): Promise<DeadJob[]> {
    const rows = await this.#query<DeadRow>('queue_dead', deadText, [limit])
    return rows.map(row => ({ job: jobOf(row.key, row.name, row.max_attempts, row.payload), attempts: row.attempts, error: row.last_error ?? '' }))
  }

  async retry(id: string): Promise<boolean> {
    return (await this.#query('queue_retry', retryText, [id])).length > 0
  }

  async #query<Row extends pg.QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    if (this.#closing) throw fault('UNAVAILABLE', 'the queue is closed')
    const { rows } = await this.#pool.query<Row>({ name, text, values }).catch((error: unknown) => { throw refusalOf(error) })
    return rows
  }

  /** The engine's own migrations, by one process at a time. */
  async #prepare(): Promise<void> {
    const client = await this.#pool.connect()
    try {
      await client.query(`SELECT pg_advisory_lock(hashtextextended('tenfold queue migration', 0))`)
      await client.query('CREATE SCHEMA IF NOT EXISTS tenfold')
      await client.query(registryTableText)
      await runMigrations({ pgPool: this.#pool, logger: bridgeLog(this.#log) })
    } finally {
      // Ends the connection, and the lock with it.
      client.release(true)
    }
  }

  #newPool(max: number): pg.Pool {
    const pool = new pg.Pool({ connectionString: this.#url, max, connectionTimeoutMillis: limits.connectTimeoutMs, keepAlive: true, application_name: 'tenfold queue' })
    pool.on('error', error => this.#log.debug({ err: error }, 'an idle connection of the queue broke'))
    pool.on('connect', client => client.on('error', () => {}))
    return pool
  }
}
