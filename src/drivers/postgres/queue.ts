/**
 * The queue port on Postgres, by graphile-worker: its own schema, LISTEN/NOTIFY, retries
 * with an exponential delay (exp(min(10, attempt)) seconds), jobs found with SKIP LOCKED.
 *
 * All jobs go through one task named `tenfold`, with the job's name in its payload. Each
 * worker holds an advisory lock; a job that is locked by a worker whose advisory lock is
 * free belongs to a process that died, and is given back within seconds, not the library's
 * four hours.
 */
import { EventEmitter } from 'node:events'
import { Logger as WorkerLogger, run, runMigrations } from 'graphile-worker'
import type { Runner, WorkerEvents } from 'graphile-worker'
import pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { every } from '../../base/time.ts'
import type { DeadJob, Job, Queue, QueueDepth, Working, WorkOptions } from '../../ports/queue.ts'
import { refusalOf } from './refusal.ts'

export interface PostgresQueueOptions { readonly url: string; readonly log: Logger }

const task = 'tenfold'
const sweepMs = 2_000
const enqueueText = `
  SELECT graphile_worker.add_job('${task}', payload := job.payload, queue_name := job.serial, run_at := coalesce(job.run_at, now()),
    max_attempts := job.attempts_max, job_key := job.id, job_key_mode := 'unsafe_dedupe')
  FROM unnest($1::text[], $2::json[], $3::text[], $4::timestamptz[], $5::int[]) AS job (id, payload, serial, run_at, attempts_max)`
const workerLockText = `SELECT pg_try_advisory_lock(hashtextextended('tenfold worker ' || $1, 0)) AS held`
// Workers whose advisory lock can be taken by somebody else are dead; the lock is given back at once.
const deadWorkersText = `
  SELECT locked_by FROM (SELECT DISTINCT locked_by FROM graphile_worker._private_jobs WHERE locked_at < now() - interval '2 s') AS worker
  WHERE pg_try_advisory_xact_lock(hashtextextended('tenfold worker ' || locked_by, 0))`
const depthText = `
  SELECT count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at <= now()) AS waiting,
    count(*) FILTER (WHERE locked_at IS NOT NULL) AS running,
    count(*) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at > now()) AS scheduled,
    count(*) FILTER (WHERE locked_at IS NULL AND attempts >= max_attempts) AS dead,
    extract(epoch FROM now() - min(run_at) FILTER (WHERE locked_at IS NULL AND attempts < max_attempts AND run_at <= now()))::float8 * 1000 AS oldest
  FROM graphile_worker._private_jobs`

interface Envelope { readonly id: string; readonly name: string; readonly payload: unknown; readonly attemptsMax: number; readonly serial?: string | undefined }

export function openPostgresQueue(options: PostgresQueueOptions): Queue {
  const pool = new pg.Pool({ connectionString: options.url, max: 8, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold queue' })
  pool.on('error', () => {})
  pool.on('connect', client => { client.on('error', () => {}) })
  const working = new Set<Working>()
  const logger = bridge(options.log)
  let closed = false
  const query = <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []) => pool.query<Row>(text, values).catch((error: unknown) => { throw refusalOf(error) })
  return {
    async open() {
      await query('SELECT 1')
      const { rows } = await query<{ there: boolean }>(`SELECT to_regclass('graphile_worker.migrations') IS NOT NULL AS there`)
      if (!rows[0]!.there) await runMigrations({ pgPool: pool, logger })
    },
    async close() {
      if (closed) return
      closed = true
      await Promise.all([...working].map(one => one.stop(limits.drainMs)))
      await pool.end()
    },
    async enqueue(jobs) {
      if (jobs.length === 0) return
      const envelopes = jobs.map(({ id, name, payload, attemptsMax, serial }): Envelope => ({ id, name, payload, attemptsMax, serial }))
      await query(enqueueText, [
        jobs.map(job => job.id), envelopes.map(envelope => JSON.stringify(envelope)), jobs.map(job => job.serial ?? null),
        jobs.map(job => job.runAtMs === undefined ? null : new Date(job.runAtMs)), jobs.map(job => job.attemptsMax),
      ])
    },
    async work(workOptions) {
      const one = await startWorking(options, pool, logger, workOptions)
      working.add(one)
      return { stop: async graceMs => { working.delete(one); await one.stop(graceMs) } }
    },
    async depth(): Promise<QueueDepth> {
      const { rows } = await query<Record<'waiting' | 'running' | 'scheduled' | 'dead', string> & { oldest: number | null }>(depthText)
      const row = rows[0]!
      return { waiting: Number(row.waiting), running: Number(row.running), scheduled: Number(row.scheduled), dead: Number(row.dead), oldestAgeMs: Math.max(0, row.oldest ?? 0) }
    },
    async dead(limit): Promise<DeadJob[]> {
      const { rows } = await query<{ payload: Envelope; attempts: number; last_error: string | null }>(
        'SELECT payload, attempts, last_error FROM graphile_worker._private_jobs WHERE locked_at IS NULL AND attempts >= max_attempts ORDER BY id LIMIT $1', [limit])
      return rows.map(row => ({ job: row.payload as Job, attempts: row.attempts, error: row.last_error ?? '' }))
    },
    async retry(id) {
      const { rowCount } = await query('UPDATE graphile_worker._private_jobs SET attempts = 0, run_at = now(), last_error = NULL WHERE key = $1 AND locked_at IS NULL AND attempts >= max_attempts', [id])
      return (rowCount ?? 0) > 0
    },
  }
}

async function startWorking(options: PostgresQueueOptions, pool: pg.Pool, logger: WorkerLogger, { concurrency, names, handle }: WorkOptions): Promise<Working> {
  const aborting = new AbortController()
  const workers = new Set<string>()
  const presence = holdPresence(options, workers)
  const events: WorkerEvents = new EventEmitter()
  events.on('worker:create', ({ worker }) => { workers.add(worker.workerId); presence.renew() })
  const known = new Set(names)
  const runner: Runner = await run({
    pgPool: pool, logger, events, concurrency, noHandleSignals: true, pollInterval: 1_000,
    preset: { worker: { gracefulShutdownAbortTimeout: limits.drainMs } },
    taskList: {
      [task]: async (payload, helpers) => {
        const job = payload as Envelope
        if (!known.has(job.name)) throw new Error(`this process has no job '${job.name}'; start one that runs its service`)
        await handle({ job, attempt: helpers.job.attempts, signal: aborting.signal })
      },
    },
  })
  const stopSweeping = every(sweepMs, () => sweep(pool, options.log))
  let stopping: Promise<void> | undefined
  return {
    stop: graceMs => stopping ??= (async () => {
      stopSweeping()
      const cut = setAbort(aborting, graceMs)
      await runner.stop().catch(() => {})
      cut()
      await presence.release()
    })(),
  }
}

function setAbort(controller: AbortController, graceMs: number): () => void {
  const timer = AbortSignal.timeout(Math.max(1, graceMs))
  const abort = () => controller.abort()
  timer.addEventListener('abort', abort)
  return () => timer.removeEventListener('abort', abort)
}

/** Keeps an advisory lock for each worker on one connection, again after the connection was lost. */
function holdPresence(options: PostgresQueueOptions, workers: ReadonlySet<string>): { renew(): void; release(): Promise<void> } {
  let client: pg.Client | undefined
  let locked = new Set<string>()
  let released = false
  let holding = Promise.resolve()
  const connect = async () => {
    const next = new pg.Client({ connectionString: options.url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold worker' })
    const forget = () => { client = undefined; locked = new Set() }
    next.on('error', forget).on('end', forget)
    await next.connect()
    client = next
  }
  const hold = async () => {
    try {
      if (released) return
      if (!client) await connect()
      for (const worker of workers) {
        if (locked.has(worker)) continue
        await client!.query(workerLockText, [worker])
        locked.add(worker)
      }
    } catch (error) { options.log.debug({ err: error }, 'a worker will show its presence later') }
  }
  const renew = () => { holding = holding.then(hold) }
  const stop = every(500, async () => { renew(); await holding })
  return { renew, release: async () => { released = true; stop(); await holding; await client?.end().catch(() => {}) } }
}

/** Gives the jobs of dead workers back. */
async function sweep(pool: pg.Pool, log: Logger): Promise<void> {
  try {
    const { rows } = await pool.query<{ locked_by: string }>(deadWorkersText)
    if (rows.length === 0) return
    log.warn({ workers: rows.length }, 'jobs of workers that died are given back')
    await pool.query('SELECT graphile_worker.force_unlock_workers($1)', [rows.map(row => row.locked_by)])
  } catch (error) { log.debug({ err: error }, 'the sweep for dead workers failed and will be repeated') }
}

function bridge(log: Logger): WorkerLogger {
  const own = log.child({ part: 'queue' })
  return new WorkerLogger(() => (level, message, meta) => {
    if (level === 'error') own.error({ meta }, message)
    else if (level === 'warning') own.warn({ meta }, message)
    else own.debug({ meta }, message)
  })
}
