/**
 * Which queue workers are alive. Each holds a session advisory lock under its id and a row
 * in tenfold.queue_worker; who finds the lock of a row free for graceMs gives that worker's
 * jobs back. graphile-worker alone would leave them locked for four hours.
 */
import pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { sleep } from '../../base/time.ts'

/** Covers the reconnection of a worker whose connection was cut: it is suspected, not dead. */
const graceMs = 3_000
const sweepMs = 1_000
const reconnectMs = 100
/** A worker that died between its first claim and its registration has no row: looked for rarely, since it reads all jobs. */
const orphanSweepMs = 60_000

const holdText = `SELECT pg_advisory_lock(hashtextextended('tenfold worker ' || $1, 0))`
const registerText = 'INSERT INTO tenfold.queue_worker (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET suspect_at = NULL'
const sweepText = `
  WITH candidate AS MATERIALIZED (SELECT id, suspect_at FROM tenfold.queue_worker WHERE id <> ALL ($1::text[])),
  gone AS MATERIALIZED (SELECT * FROM candidate WHERE pg_try_advisory_xact_lock(hashtextextended('tenfold worker ' || id, 0))),
  suspected AS (UPDATE tenfold.queue_worker AS worker SET suspect_at = now() FROM gone WHERE worker.id = gone.id AND worker.suspect_at IS NULL)
  SELECT id FROM gone WHERE suspect_at < now() - $2 * interval '1 ms'`
const orphanText = `
  SELECT DISTINCT locked_by AS id FROM graphile_worker._private_jobs
  WHERE locked_at < now() - interval '10 s' AND locked_by NOT IN (SELECT id FROM tenfold.queue_worker)`
// A death is no failure of the job: a last attempt that died with its worker is given once more.
const releaseText = `
  WITH released AS (
    UPDATE graphile_worker._private_jobs SET locked_at = NULL, locked_by = NULL, attempts = least(attempts, max_attempts - 1)
    WHERE locked_by = ANY ($1::text[])
  ), freed AS (
    UPDATE graphile_worker._private_job_queues SET locked_at = NULL, locked_by = NULL WHERE locked_by = ANY ($1::text[])
  ), forgotten AS (DELETE FROM tenfold.queue_worker WHERE id = ANY ($1::text[]))
  SELECT pg_notify('jobs:insert', '{"count":1}')`

export const registryTableText = 'CREATE TABLE IF NOT EXISTS tenfold.queue_worker (id text PRIMARY KEY, suspect_at timestamptz)'

export const releaseWorkers = async (client: pg.Client | pg.Pool, ids: readonly string[]): Promise<void> => {
  await client.query(releaseText, [ids])
}

export class WorkerRegistry {
  readonly #url: string
  readonly #log: Logger
  readonly #stopping = new AbortController()
  readonly #ids = new Set<string>()
  #held = new Set<string>()
  #waiting: { id: string; resolve: () => void }[] = []
  #nudge = new AbortController()
  readonly #done: Promise<void>

  constructor(url: string, log: Logger) {
    this.#url = url
    this.#log = log
    this.#done = this.#run()
  }

  /** Resolves when the worker is known to be alive; at once when the registry is closing. */
  add(id: string): Promise<void> {
    this.#ids.add(id)
    return new Promise(resolve => {
      if (this.#stopping.signal.aborted) return resolve()
      this.#waiting.push({ id, resolve })
      this.#nudge.abort()
    })
  }

  remove(id: string): void { this.#ids.delete(id) }

  async close(): Promise<void> {
    this.#stopping.abort()
    this.#nudge.abort()
    await this.#done
    for (const one of this.#waiting.splice(0)) one.resolve()
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold worker registry', keepAlive: true })
      client.on('error', () => this.#nudge.abort())
      this.#held = new Set()
      try {
        await client.connect()
        await this.#watch(client)
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#log.debug({ err: error }, 'the worker registry lost its connection')
      } finally {
        await client.end().catch(() => {})
      }
      await sleep(reconnectMs, this.#stopping.signal)
    }
  }

  async #watch(client: pg.Client): Promise<void> {
    for (let sinceOrphansMs = orphanSweepMs; !this.#stopping.signal.aborted; sinceOrphansMs += sweepMs) {
      this.#nudge = new AbortController()
      await this.#hold(client)
      const { rows } = await client.query<{ id: string }>(sweepText, [[...this.#ids], graceMs])
      if (sinceOrphansMs >= orphanSweepMs) {
        sinceOrphansMs = 0
        rows.push(...(await client.query<{ id: string }>(orphanText)).rows.filter(row => !this.#ids.has(row.id)))
      }
      if (rows.length > 0) {
        this.#log.warn({ workers: rows.map(row => row.id) }, 'workers have died; their jobs go to others')
        await releaseWorkers(client, rows.map(row => row.id))
      }
      if (this.#waiting.length === 0) await sleep(sweepMs, this.#nudge.signal)
    }
  }

  async #hold(client: pg.Client): Promise<void> {
    for (const id of this.#ids) {
      if (this.#held.has(id)) continue
      await client.query(holdText, [id])
      await client.query(registerText, [id])
      this.#held.add(id)
    }
    const ready = this.#waiting.filter(one => this.#held.has(one.id) || !this.#ids.has(one.id))
    this.#waiting = this.#waiting.filter(one => !ready.includes(one))
    for (const one of ready) one.resolve()
  }
}
