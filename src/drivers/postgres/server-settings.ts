/**
 * How the embedded server is set up, and how many connections each process may open to it.
 * Pure: a machine goes in, settings come out, each with its reason. `small` stays light
 * beside one process; `tuned` takes what the machine, or the cgroup it is shut in, has.
 */
import { availableParallelism, totalmem } from 'node:os'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'

export interface Machine {
  readonly memoryBytes: number
  readonly cores: number
  /** Node processes that share the machine and its connections. */
  readonly processes: number
  readonly tuned: boolean
}

export type Settings = Readonly<Record<string, string>>

const mebi = 1024 ** 2
const gibi = 1024 ** 3
/** What a process of the application is left with, before the database takes its share. */
const processBytes = 256 * mebi
const connectionsPerProcess = 64
/** More than these are allowed only where a process would have fewer than the ones after: many cores, many processes. */
const connectionsUsualMax = 800
const connectionsPerProcessMin = 32
/** For people with psql, migrations, measurements and advice; three of them are Postgres's own reserve for superusers. */
export const connectionsReserved = 16

const clamp = (low: number, value: number, high: number) => Math.max(low, Math.min(high, value))
const inMebi = (bytes: number) => `${Math.floor(bytes / mebi)}MB`

/** The memory and cores this process may use: a cgroup's limit where there is one, else the machine's. */
export function machineHere(processes: number, tuned: boolean): Machine {
  const limitBytes = process.constrainedMemory()
  const memoryBytes = limitBytes > 0 ? Math.min(limitBytes, totalmem()) : totalmem()
  return { memoryBytes, cores: availableParallelism(), processes, tuned }
}

export function serverSettings(machine: Machine): Settings {
  return machine.tuned ? { ...small, ...tuned(machine) } : small
}

const small: Settings = {
  // Reached from this machine only.
  listen_addresses: '127.0.0.1',
  // For three processes and the one that is started while they are restarted; a slot that nobody uses costs a few KiB.
  max_connections: '200',
  // Enough for the sample data; the operating system caches the rest.
  shared_buffers: '64MB',
  // Projections, shards and climbs replicate logically: changing this later would need a restart.
  wal_level: 'logical',
  max_wal_senders: '40',
  max_replication_slots: '40',
  max_logical_replication_workers: '40',
  max_worker_processes: '40',
  max_active_replication_origins: '40',
  // A replica that was forgotten must not fill the disk.
  max_slot_wal_keep_size: '4GB',
  idle_replication_slot_timeout: '1d',
  // What is acknowledged is on disk (I13).
  fsync: 'on',
  synchronous_commit: 'on',
  // Compiling costs more than the short statements of requests ever win back.
  jit: 'off',
  // On SSDs a random page costs hardly more than the next one; the standard 4 is for disks and avoids indexes.
  random_page_cost: '1.1',
  // Statements by intent: docs/database.md.
  shared_preload_libraries: 'pg_stat_statements',
  // BEGIN and COMMIT belong to no intent.
  'pg_stat_statements.track_utility': 'off',
  // The comment with the intent ends the text: it must not be cut off in pg_stat_activity.
  track_activity_query_size: '8kB',
  log_line_prefix: '%m [%p] %u ',
  log_min_duration_statement: '1s',
  timezone: 'UTC',
}

function tuned({ memoryBytes, cores, processes }: Machine): Settings {
  const ownBytes = Math.max(memoryBytes / 2, memoryBytes - processes * processBytes)
  const sharedBytes = clamp(32 * mebi, ownBytes / 4, 16 * gibi)
  // An idle connection holds about 4 MiB: together they take at most a quarter. One process more runs during a restart.
  const most = Math.max(connectionsUsualMax, connectionsReserved + (processes + 1) * connectionsPerProcessMin)
  const connections = clamp(connectionsReserved + 40, connectionsReserved + processes * connectionsPerProcess, Math.min(most, ownBytes / 4 / (4 * mebi)))
  return {
    max_connections: String(Math.floor(connections)),
    // A quarter: what is here is read without a system call; more would starve the cache of the operating system.
    shared_buffers: inMebi(sharedBytes),
    // Only tells the planner how much of the data it finds in either cache; nothing is taken.
    effective_cache_size: inMebi(ownBytes * 0.7),
    // Per sort or hash: all connections at once, each sorting, stay within half of what is left.
    work_mem: inMebi(clamp(4 * mebi, (ownBytes - sharedBytes) / 2 / connections, 64 * mebi)),
    // Building an index and vacuuming, which few do at a time.
    maintenance_work_mem: inMebi(clamp(64 * mebi, ownBytes / 16, gibi)),
    autovacuum_work_mem: inMebi(clamp(32 * mebi, ownBytes / 64, 256 * mebi)),
    // Fewer checkpoints: after each one every page is written to the log whole again. A crash recovers this much, in seconds.
    max_wal_size: inMebi(clamp(gibi, ownBytes / 2, 4 * gibi)),
    min_wal_size: '256MB',
    checkpoint_timeout: '15min',
    wal_compression: 'pglz',
    // Requests are many and short: one core each; only large machines may lend a second to a report.
    max_parallel_workers: String(cores),
    max_parallel_workers_per_gather: cores >= 8 ? '2' : '0',
    max_parallel_maintenance_workers: String(clamp(1, Math.floor(cores / 4), 4)),
    io_workers: String(clamp(3, Math.floor(cores / 4), 16)),
    // Vacuum and analyze early and often: a large table would otherwise wait for 20 % of it to change.
    autovacuum_max_workers: String(clamp(2, Math.floor(cores / 4), 6)),
    autovacuum_naptime: '15s',
    autovacuum_vacuum_scale_factor: '0.05',
    autovacuum_vacuum_insert_scale_factor: '0.1',
    autovacuum_analyze_scale_factor: '0.02',
    autovacuum_vacuum_cost_limit: '1000',
    // Who waits for whom belongs into the log.
    log_lock_waits: 'on',
  }
}

/** What opens connections in one process. */
export interface ConnectionDemand {
  readonly maxConnections: number
  readonly processes: number
  /** Those of them that deliver events and run jobs. */
  readonly workers: number
  readonly services: number
  /** Subscriptions and projections: each holds a connection for its turn. */
  readonly consumers: number
  /** More than these are not opened, even where they fit. */
  readonly wanted?: PoolSizes | undefined
}

/** Per service and process. */
export interface PoolSizes { readonly readersMax: number; readonly writersMax: number }

/** Whatever it serves: owner 4, bus 4 and its listener, broadcast 1, rates 2, and one each to see that queue and leases are there. */
const fixedPerProcess = 14
/** A worker besides: queue 5 more and its listener, leases 1 more and one held, the consumers of jobs and of invalidations. */
const fixedPerWorker = 10

/** All connections that all processes may have at once, with the reserve. */
export function connectionsOf({ processes, workers, services, consumers }: Omit<ConnectionDemand, 'maxConnections' | 'wanted'>, { readersMax, writersMax }: PoolSizes): number {
  return connectionsReserved + processes * (fixedPerProcess + services * (readersMax + writersMax)) + workers * (fixedPerWorker + consumers)
}

/** Pools as large as they are wanted, or smaller, so that together they fit, and how many there could be; refuses when even the smallest do not. */
export function poolSizes(demand: ConnectionDemand): PoolSizes & { readonly perService: number } {
  const free = demand.maxConnections - connectionsOf(demand, { readersMax: 0, writersMax: 0 })
  const perService = Math.floor(free / demand.processes / demand.services)
  if (perService < 2) {
    const least = connectionsOf(demand, { readersMax: 1, writersMax: 1 })
    throw fault('TOPOLOGY_REFUSED', `${demand.processes} processes of ${demand.services} services need at least ${least} connections, and Postgres allows ${demand.maxConnections}; run fewer processes, or raise max_connections`)
  }
  const wanted = demand.wanted ?? limits
  // Readers are pipelined: one does the work of several, so a third of the connections is enough, unless more are wanted.
  const part = Math.max(1 / 3, wanted.readersMax / (wanted.readersMax + wanted.writersMax))
  const readersMax = clamp(1, Math.floor(perService * part), Math.min(wanted.readersMax, perService - 1))
  return { readersMax, writersMax: Math.min(wanted.writersMax, perService - readersMax), perService }
}
