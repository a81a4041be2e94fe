/** The measurements port on Postgres: its statistics, and its tables of bus and queue, over one connection that is opened anew when it breaks or is too slow. */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import type { MetricName } from '../../base/metric-table.ts'
import type { MetricReading, NumberSample } from '../../base/metric-registry.ts'
import { after, now } from '../../base/time.ts'
import type { Activity, Measurements } from '../../ports/measurements.ts'
import { activityOf } from './activity.ts'
import { awaitedText, checkpointsText, connectionsText, consumersText, databaseText, primaryText, queueText, replicasText } from './measurement-texts.ts'
import { PrimaryClient } from './primary-client.ts'
import { refusalOf } from './refusal.ts'
import { serverCpuOf } from './server-cpu.ts'

export interface PostgresMeasurementsOptions {
  /** With the owner's name and password. */
  readonly url: string
  /** False where the jobs are elsewhere. */
  readonly jobs?: boolean
}

export const openPostgresMeasurements = (options: PostgresMeasurementsOptions): Measurements => new PostgresMeasurements(options)

const openMs = 5_000
const usualStates = ['active', 'idle', 'idle in transaction']

class PostgresMeasurements implements Measurements {
  readonly #url: string
  readonly #jobs: boolean
  #client: pg.Client | null = null
  /** One at a time: they share the connection. */
  #reading: Promise<unknown> = Promise.resolve()
  #closed = false

  constructor({ url, jobs = true }: PostgresMeasurementsOptions) {
    this.#url = url
    this.#jobs = jobs
  }

  async open(): Promise<void> { await this.#within(openMs, client => client.query('SELECT 1')) }

  async close(): Promise<void> {
    this.#closed = true
    await this.#reading.catch(() => {})
    await this.#client?.end().catch(() => {})
  }

  read(timeoutMs: number): Promise<readonly MetricReading[]> { return this.#within(timeoutMs, client => measure(client, this.#url, this.#jobs)) }

  activity(timeoutMs: number): Promise<readonly Activity[]> { return this.#within(timeoutMs, activityOf) }

  #within<T>(timeoutMs: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const cancel = after(timeoutMs, () => {
      reject(fault('UNAVAILABLE', `Postgres did not tell its measurements within ${timeoutMs} ms`))
      this.#drop()
    })
    const turn = this.#reading.catch(() => {}).then(async () => work(await this.#connected()))
    this.#reading = turn
    turn.then(resolve, (error: unknown) => { this.#drop(); reject(refusalOf(error)) })
    return promise.finally(cancel)
  }

  async #connected(): Promise<pg.Client> {
    if (this.#closed) throw fault('UNAVAILABLE', 'the measurements are closed')
    if (this.#client) return this.#client
    const client = new PrimaryClient({ connectionString: this.#url, application_name: 'tenfold measurements', keepAlive: true })
    const forget = () => { if (this.#client === client) this.#client = null }
    client.on('error', forget).on('end', forget)
    this.#client = client
    await client.connect()
    await client.query('SET default_transaction_read_only = on')
    return client
  }

  /** Without a farewell, which a server that hangs would not hear. */
  #drop(): void {
    const client = this.#client
    this.#client = null
    if (client) (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
  }
}

const one = (name: MetricName, value: number, labels: NumberSample['labels'] = {}): MetricReading => ({ name, samples: [{ labels, value }] })

async function measure(client: pg.Client, url: string, jobs: boolean): Promise<MetricReading[]> {
  return [...await ofDatabase(client), ...await ofProcessor(client, url), ...await ofBus(client), ...jobs ? await ofQueue(client) : []]
}

async function ofProcessor(client: pg.Client, url: string): Promise<MetricReading[]> {
  const cpu = await serverCpuOf(url, (client as unknown as { readonly processID: number }).processID)
  return cpu ? [one('tenfold_postgres_cpu_seconds_total', cpu.seconds), one('tenfold_postgres_cpu_wait_seconds_total', cpu.waitSeconds)] : []
}

async function ofDatabase(client: pg.Client): Promise<MetricReading[]> {
  const ask = async <Row extends pg.QueryResultRow>(text: string) => (await client.query<Row>(text)).rows
  const [database] = await ask<Record<'commits' | 'rollbacks' | 'deadlocks' | 'hit' | 'read' | 'temporary' | 'size' | 'wal' | 'max' | 'locks' | 'oldest', number>>(databaseText)
  const counts = new Map((await ask<{ state: string; count: number }>(connectionsText)).map(({ state, count }) => [state, count]))
  const replicas = [...await ofPrimary(client), ...await ofReplicas(client)]
  const { commits, rollbacks, deadlocks, hit, read, temporary, size, wal, max, locks, oldest } = database!
  return [
    { name: 'tenfold_postgres_connections', samples: [...new Set([...usualStates, ...counts.keys()])].map(state => ({ labels: { state }, value: counts.get(state) ?? 0 })) },
    one('tenfold_postgres_connections_max', max), one('tenfold_postgres_locks_waiting', locks),
    one('tenfold_postgres_commits_total', commits), one('tenfold_postgres_rollbacks_total', rollbacks), one('tenfold_postgres_deadlocks_total', deadlocks),
    one('tenfold_postgres_blocks_hit_total', hit), one('tenfold_postgres_blocks_read_total', read), one('tenfold_postgres_temporary_bytes_total', temporary),
    one('tenfold_postgres_size_bytes', size), one('tenfold_postgres_wal_bytes_total', wal), one('tenfold_postgres_oldest_transaction_seconds', oldest),
    ...await ofCheckpoints(client),
    ...replicas,
  ]
}

async function ofPrimary(client: pg.Client): Promise<MetricReading[]> {
  const askedAtMs = now()
  const { rows: [row] } = await client.query<{ clock: number; timeline: number }>(primaryText)
  return [one('tenfold_postgres_timeline', row!.timeline), one('tenfold_postgres_clock_offset_seconds', Math.abs(row!.clock - (askedAtMs + now()) / 2_000))]
}

async function ofReplicas(client: pg.Client): Promise<MetricReading[]> {
  const { rows } = await client.query<{ replica: string; lag: number; seconds: number; confirms: boolean }>(replicasText)
  const { rows: [wanted] } = await client.query<{ awaited: number }>(awaitedText)
  const lag = (name: MetricName, what: 'lag' | 'seconds'): MetricReading => ({ name, samples: rows.map(row => ({ labels: { replica: row.replica }, value: row[what] })) })
  return [
    one('tenfold_postgres_replicas_confirming', rows.filter(({ confirms }) => confirms).length), one('tenfold_postgres_replicas_awaited', wanted!.awaited),
    ...rows.length > 0 ? [lag('tenfold_postgres_replication_lag_bytes', 'lag'), lag('tenfold_postgres_replication_lag_seconds', 'seconds')] : [],
  ]
}

async function ofCheckpoints(client: pg.Client): Promise<MetricReading[]> {
  const { rows: [counts] } = await client.query<Record<'timed' | 'requested', number>>(checkpointsText)
  return [{ name: 'tenfold_postgres_checkpoints_total', samples: (['timed', 'requested'] as const).map(cause => ({ labels: { cause }, value: counts![cause] })) }]
}

const ofConsumer = { waiting: 'tenfold_bus_waiting', oldest: 'tenfold_bus_oldest_seconds', parked: 'tenfold_bus_parked', dead: 'tenfold_bus_dead_letters' } as const

async function ofBus(client: pg.Client): Promise<MetricReading[]> {
  const { rows } = await client.query<Record<keyof typeof ofConsumer, number> & { consumer: string }>(consumersText)
  if (rows.length === 0) return []
  return (Object.keys(ofConsumer) as (keyof typeof ofConsumer)[]).map(what =>
    ({ name: ofConsumer[what], samples: rows.map(row => ({ labels: { consumer: row.consumer }, value: row[what] })) }))
}

async function ofQueue(client: pg.Client): Promise<MetricReading[]> {
  const { rows: [row] } = await client.query<Record<'waiting' | 'running' | 'scheduled' | 'dead' | 'oldest', number>>(queueText)
  const states = ['waiting', 'running', 'scheduled', 'dead'] as const
  return [
    { name: 'tenfold_queue_jobs', samples: states.map(state => ({ labels: { state }, value: row![state] })) },
    one('tenfold_queue_oldest_seconds', row!.oldest),
  ]
}
