/** What a Postgres and the runtime's tables in it look like from outside, for `tenfold doctor`. Reads only; starts nothing. */
import { readdir, readFile, realpath } from 'node:fs/promises'
import path from 'node:path'
import type pg from 'pg'
import { limits } from '../../base/limits.ts'
import { monotonicMs, now } from '../../base/time.ts'
import type { Depth } from '../../ports/bus.ts'
import { ConsumerStore } from './consumer-store.ts'
import { memberFolder, readGroupState } from './group-state.ts'
import { PrimaryClient } from './primary-client.ts'
import { refusalOf } from './refusal.ts'
import { postmasterOf } from './server-process.ts'

export interface PostgresFacts {
  readonly version: string
  /** 180004 is 18.4. */
  readonly versionNumber: number
  readonly settings: Readonly<Record<'fsync' | 'synchronous_commit' | 'full_page_writes' | 'wal_level' | 'data_checksums', string>>
  readonly connections: { readonly used: number; readonly max: number }
  /** Of the transaction that has written and been open longest; the log is read up to it. */
  readonly oldestTransaction: { readonly pid: number; readonly ageMs: number } | null
  /** How far its clock is ahead of ours, and how exact that is. */
  readonly clock: { readonly aheadMs: number; readonly exactMs: number }
  readonly replication: ReplicationFacts
  /** Null before the first migration. */
  readonly runtime: RuntimeFacts | null
}

export interface ReplicationFacts {
  /** Those that follow, with the log they have not replayed. */
  readonly following: readonly { readonly name: string; readonly lagBytes: number; readonly confirms: boolean }[]
  /** `synchronous_standby_names`. */
  readonly guard: string
  /** Slots that nobody reads from keep the log for somebody who may be gone. */
  readonly idleSlots: readonly string[]
}

export interface RuntimeFacts {
  readonly migrations: readonly { readonly service: string; readonly number: number; readonly name: string; readonly checksum: string }[]
  /** Of the runtime's own migrations, how many have not run. */
  readonly ownPending: number
  readonly consumers: Readonly<Record<string, Depth>>
  readonly deadLetters: readonly { readonly consumer: string; readonly count: number; readonly error: string }[]
  readonly deadJobs: readonly { readonly name: string; readonly count: number; readonly error: string }[]
  /** Jobs that could run and do not. */
  readonly jobs: { readonly due: number; readonly oldestAgeMs: number }
}

/** The embedded server that runs on this data folder, of several the primary, or null. */
export async function findServer(dataFolder: string): Promise<{ readonly url: string; readonly pid: number; readonly port: number } | null> {
  const { primary } = await readGroupState(dataFolder)
  const folder = await realpath(path.join(memberFolder(dataFolder, primary), 'postgres')).catch(() => null)
  const running = folder === null ? null : await postmasterOf(path.join(folder, 'cluster'))
  if (folder === null || running === null) return null
  const password = (await readFile(path.join(folder, 'postgres.password'), 'utf8')).trim()
  return { url: `postgres://postgres:${password}@127.0.0.1:${running.port}/postgres`, pid: running.pid, port: running.port }
}

/** `consumers`: by name, the messages each reacts to; null for all jobs. */
export async function inspectPostgres(url: string, consumers: Readonly<Record<string, readonly string[] | null>>): Promise<PostgresFacts> {
  const client = new PrimaryClient({ connectionString: url, connectionTimeoutMillis: limits.connectTimeoutMs, statement_timeout: limits.statementTimeoutMs, application_name: 'tenfold doctor' })
  client.on('error', () => {})
  try {
    await client.connect()
    return { ...await serverFacts(client), clock: await clockFacts(client), replication: await replicationFacts(client), runtime: await runtimeFacts(client, consumers) }
  } catch (error) {
    throw refusalOf(error)
  } finally {
    await client.end().catch(() => {})
  }
}

interface ServerRow extends Record<string, string> { readonly version: string }

async function serverFacts(client: pg.Client): Promise<Omit<PostgresFacts, 'clock' | 'runtime' | 'replication'>> {
  const { rows: [row] } = await client.query<ServerRow>(`
    SELECT current_setting('server_version') AS version, current_setting('server_version_num') AS number, current_setting('fsync') AS fsync,
      current_setting('synchronous_commit') AS synchronous_commit, current_setting('full_page_writes') AS full_page_writes,
      current_setting('wal_level') AS wal_level, current_setting('data_checksums') AS data_checksums, current_setting('max_connections') AS max,
      (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used`)
  const { rows: [oldest] } = await client.query<{ pid: number; age_ms: number }>(`
    SELECT pid, extract(epoch FROM now() - xact_start)::float8 * 1000 AS age_ms FROM pg_stat_activity
    WHERE backend_xid IS NOT NULL AND xact_start IS NOT NULL ORDER BY xact_start LIMIT 1`)
  const { version, number, used, max, ...settings } = row!
  return {
    version, versionNumber: Number(number), settings: settings as PostgresFacts['settings'],
    connections: { used: Number(used), max: Number(max) },
    oldestTransaction: oldest ? { pid: oldest.pid, ageMs: oldest.age_ms } : null,
  }
}

async function replicationFacts(client: pg.Client): Promise<ReplicationFacts> {
  const { rows: following } = await client.query<{ name: string; lag: number; confirms: boolean }>(`
    SELECT application_name AS name, coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn), 0)::float8 AS lag, sync_state IN ('sync', 'quorum') AS confirms
    FROM pg_stat_replication WHERE state = 'streaming' ORDER BY application_name`)
  const { rows: slots } = await client.query<{ name: string }>('SELECT slot_name AS name FROM pg_replication_slots WHERE NOT active ORDER BY slot_name')
  const { rows: [row] } = await client.query<{ guard: string }>(`SELECT current_setting('synchronous_standby_names') AS guard`)
  return { following: following.map(({ name, lag, confirms }) => ({ name, lagBytes: lag, confirms })), guard: row!.guard, idleSlots: slots.map(({ name }) => name) }
}

async function clockFacts(client: pg.Client): Promise<PostgresFacts['clock']> {
  const [before, startedMs] = [now(), monotonicMs()]
  const { rows: [row] } = await client.query<{ at_ms: number }>('SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS at_ms')
  const exactMs = (monotonicMs() - startedMs) / 2
  return { aheadMs: row!.at_ms - (before + exactMs), exactMs }
}

async function runtimeFacts(client: pg.Client, consumers: Parameters<typeof inspectPostgres>[1]): Promise<RuntimeFacts | null> {
  const { rows: [found] } = await client.query<{ there: boolean }>(`SELECT to_regclass('tenfold.migration') IS NOT NULL AND to_regclass('tenfold.job') IS NOT NULL AS there`)
  if (!found!.there) return null
  const { rows: migrations } = await client.query<RuntimeFacts['migrations'][number]>('SELECT service, number, name, checksum FROM tenfold.migration ORDER BY service, number')
  const own = (await readdir(new URL('./sql/', import.meta.url))).filter(name => name.endsWith('.sql')).length
  const depths: Record<string, Depth> = {}
  for (const consumer of Object.keys(consumers)) depths[consumer] = await new ConsumerStore(client, consumer).depth()
  const { rows: deadLetters } = await client.query<RuntimeFacts['deadLetters'][number]>(`
    SELECT consumer, count(*)::int AS count, coalesce(max(error), '') AS error FROM tenfold.parked WHERE dead_at IS NOT NULL GROUP BY consumer ORDER BY consumer`)
  const { rows: deadJobs } = await client.query<RuntimeFacts['deadJobs'][number]>(`
    SELECT name, count(*)::int AS count, coalesce(max(error), '') AS error FROM tenfold.job WHERE dead_at IS NOT NULL GROUP BY name ORDER BY name`)
  const { rows: [due] } = await client.query<{ due: number; age_ms: number | null }>(`
    SELECT count(*)::int AS due, extract(epoch FROM now() - min(run_at))::float8 * 1000 AS age_ms FROM tenfold.job
    WHERE dead_at IS NULL AND run_at <= now() AND (leased_until IS NULL OR leased_until < now())`)
  return {
    migrations, ownPending: own - migrations.filter(one => one.service === 'tenfold').length, consumers: depths, deadLetters, deadJobs,
    jobs: { due: due!.due, oldestAgeMs: Math.max(0, due!.age_ms ?? 0) },
  }
}
