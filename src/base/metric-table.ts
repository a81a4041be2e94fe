/**
 * The one table of metrics: names and units after Prometheus and the semantic conventions of
 * OpenTelemetry (docs/decisions/0018). docs/metrics.md is written from it. The page adds to what a process counts the label
 * `process`; where something is counted by nobody in particular, the table says so.
 */

export interface MetricEntry {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
  /** What counts it. */
  readonly of: 'intent' | 'process' | 'supervisor' | 'engine'
}

const intent = ['intent'] as const
const ofKind = ['intent', 'kind'] as const
const pool = ['service', 'pool'] as const

const intents = {
  tenfold_intent_requests_total: { type: 'counter', of: 'intent', labels: [...ofKind, 'outcome'], help: 'Requests for an intent, over HTTP, from other intents and from engines, by outcome: ok, refused (4xx), failed (5xx), shed (refused by the limiter, or while draining).' },
  tenfold_intent_duration_seconds: { type: 'histogram', of: 'intent', labels: [...ofKind, 'outcome'], help: 'Time from the call of an intent to its answer, retries included; of a subscription, projection or job the time of one delivery, batch or attempt. Outcomes ok, refused and failed.' },
  tenfold_intent_errors_total: { type: 'counter', of: 'intent', labels: [...ofKind, 'code'], help: 'Requests that did not end well, by the code of docs/errors.md.' },
  tenfold_intent_shed_total: { type: 'counter', of: 'intent', labels: intent, help: 'Requests that the limiter refused before their body was read.' },
  tenfold_intent_expired_total: { type: 'counter', of: 'intent', labels: intent, help: 'Requests that did not end before their deadline.' },
  tenfold_intent_retries_total: { type: 'counter', of: 'intent', labels: intent, help: 'Further tries that the runtime made within one request.' },
  tenfold_intent_cache_requests_total: { type: 'counter', of: 'intent', labels: [...intent, 'result'], help: 'Answers of queries that may be kept: hit, stale (given, though it lags or is read anew beside it), coalesced (waited for a read under way), miss.' },
  tenfold_intent_statements_total: { type: 'counter', of: 'intent', labels: intent, help: 'Statements that handlers ran on the database.' },
  tenfold_intent_statement_seconds_total: { type: 'counter', of: 'intent', labels: intent, help: 'Time in which statements of handlers ran on the database or waited for a connection.' },
  tenfold_intent_residence_seconds_total: { type: 'counter', of: 'intent', labels: [...intent, 'at'], help: 'Where the time of requests over HTTP went: pool (waiting for a connection), statement, commit, read-models, broadcast (of what is no longer true), cache (waiting for the read of another), own: the rest, on the event loop or with what Tenfold does not see. The parts add up. Absent without traces.' },
  tenfold_intent_calls_total: { type: 'counter', of: 'intent', labels: [...intent, 'target'], help: 'Calls that handlers made of other intents.' },
  tenfold_intent_messages_total: { type: 'counter', of: 'intent', labels: intent, help: 'Events and jobs that subscriptions, projections and jobs have handled.' },
  tenfold_intent_dead_total: { type: 'counter', of: 'intent', labels: intent, help: 'Events and jobs that were given up after their last attempt.' },
} as const satisfies Record<string, MetricEntry>

const processes = {
  http_server_request_duration_seconds: { type: 'histogram', of: 'process', labels: ['http_request_method', 'http_response_status_code'], help: 'Time from the head of an HTTP request to the end of its answer; everything that is asked is in it, pages and unknown paths too.' },
  http_server_active_requests: { type: 'gauge', of: 'process', labels: [], help: 'HTTP requests under way.' },
  http_server_active_request_seconds_total: { type: 'counter', of: 'process', labels: [], help: 'Requests under way, summed over time: its rate is how many are under way on average.' },
  http_server_open_connections: { type: 'gauge', of: 'process', labels: [], help: 'Open HTTP connections, idle ones too.' },
  process_cpu_seconds_total: { type: 'counter', of: 'process', labels: ['mode'], help: 'CPU time, by mode user and system.' },
  process_cpu_wait_seconds_total: { type: 'counter', of: 'process', labels: [], help: 'Time in which the thread of the event loop could have run and no processor was free, as Linux tells it; absent elsewhere.' },
  process_start_time_seconds: { type: 'gauge', of: 'process', labels: [], help: 'Start of the process, in seconds since 1970.' },
  process_resident_memory_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Resident memory.' },
  nodejs_eventloop_utilization: { type: 'gauge', of: 'process', labels: [], help: 'Share of the last second in which the event loop was busy, 0 to 1.' },
  nodejs_eventloop_time_seconds_total: { type: 'counter', of: 'process', labels: ['state'], help: 'Time of the event loop, active and idle: its utilisation over any window.' },
  nodejs_eventloop_delay_seconds: { type: 'histogram', of: 'process', labels: [], help: 'How much later than asked a timer ran.' },
  v8js_gc_duration_seconds: { type: 'histogram', of: 'process', labels: ['v8js_gc_type'], help: 'Pauses of the garbage collector: minor, major, incremental, weakcb.' },
  v8js_memory_heap_used_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Heap in use.' },
  v8js_memory_heap_size_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Heap taken from the system.' },
  v8js_memory_heap_limit_bytes: { type: 'gauge', of: 'process', labels: [], help: 'What the heap may grow to.' },
  v8js_memory_external_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Memory outside the heap that its objects hold, buffers for instance.' },
  db_client_connections: { type: 'gauge', of: 'process', labels: [...pool, 'state'], help: 'Connections to the database by state, used and idle; pools are read (single statements), write (transactions) and those of the runtime, whose service is tenfold.' },
  db_client_connections_max: { type: 'gauge', of: 'process', labels: pool, help: 'Connections that the pool may open.' },
  db_client_connections_pending_requests: { type: 'gauge', of: 'process', labels: pool, help: 'Who waits for a connection; of the pool read the statements sent behind another one on the same connection.' },
  tenfold_service_connections_max: { type: 'gauge', of: 'process', labels: [], help: 'Connections that the process could open for each service, of the pools read and write together, before those of all processes no longer fit into what Postgres allows.' },
  tenfold_limiter_limit: { type: 'gauge', of: 'process', labels: [], help: 'Requests that the limiter lets run at once.' },
  tenfold_limiter_in_flight: { type: 'gauge', of: 'process', labels: [], help: 'Requests that run, by their cost. What exceeds the limit is refused at once: there is no queue.' },
  tenfold_cache_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Bytes of the answers that are kept.' },
  tenfold_cache_limit_bytes: { type: 'gauge', of: 'process', labels: [], help: 'Bytes that kept answers may take.' },
  tenfold_cache_entries: { type: 'gauge', of: 'process', labels: [], help: 'Answers that are kept.' },
  tenfold_database_readers_total: { type: 'counter', of: 'process', labels: ['server'], help: 'Runs of queries by where they read, of a database with replicas: replica, primary (none showed what was wanted in time, or all had more to do), nested ones with whoever called them.' },
  tenfold_cache_shared_requests_total: { type: 'counter', of: 'process', labels: ['result'], help: 'Looks into the cache that processes share: hit, miss (read here), wait (found once another process had read it), late (waited for one in vain), failed (it did not answer).' },
  tenfold_cache_shared_up: { type: 'gauge', of: 'process', labels: [], help: '1 when the process uses the cache that processes share, 0 while that does not answer.' },
  tenfold_rate_local_total: { type: 'counter', of: 'process', labels: [], help: 'Requests whose rate this process counted alone, since the engine that counts for all did not answer.' },
  tenfold_cache_evictions_total: { type: 'counter', of: 'process', labels: [], help: 'Kept answers that had to make room.' },
} as const satisfies Record<string, MetricEntry>

const supervisor = {
  tenfold_process_ready: { type: 'gauge', of: 'supervisor', labels: ['process'], help: '1 when the process takes work, else 0.' },
  tenfold_process_restarts_total: { type: 'counter', of: 'supervisor', labels: ['process'], help: 'How often the process ended unasked and was started again.' },
  tenfold_machine_cpu_seconds_total: { type: 'counter', of: 'supervisor', labels: ['state'], help: 'Time of all processors of the machine, busy and idle, whoever made them busy.' },
  tenfold_scaling_wanted: { type: 'gauge', of: 'supervisor', labels: ['name'], help: 'Processes of this name that the autoscaler wanted last; absent where nothing is scaled, and before its first decision.' },
  tenfold_scaling_limited: { type: 'gauge', of: 'supervisor', labels: ['name'], help: '1 while it would want more than the topology allows, else 0.' },
  tenfold_clock_seconds: { type: 'gauge', of: 'supervisor', labels: [], help: 'The clock of the supervisor, in seconds since 1970, for who reads it to compare its own with.' },
  tenfold_disk_available_bytes: { type: 'gauge', of: 'supervisor', labels: ['folder'], help: 'Room left on the disk of a folder of the deployment, as an ordinary user may take it: data, replicas/1 and so on; folders of one disk tell the same.' },
  tenfold_disk_size_bytes: { type: 'gauge', of: 'supervisor', labels: ['folder'], help: 'Size of that disk.' },
  tenfold_engine_up: { type: 'gauge', of: 'supervisor', labels: ['engine'], help: '1 when the engine told its measurements in time, else 0, and what it tells is missing.' },
  tenfold_engine_read_seconds: { type: 'gauge', of: 'supervisor', labels: ['engine'], help: 'How long the engine took to tell its measurements.' },
} as const satisfies Record<string, MetricEntry>

const consumer = ['consumer'] as const
const engines = {
  tenfold_bus_waiting: { type: 'gauge', of: 'engine', labels: consumer, help: 'Messages that are committed and not yet handled; the consumer tenfold.jobs is the relay from the outbox to the queue, tenfold.broker the one to the broker, tenfold.invalidation repeats invalidations.' },
  tenfold_bus_oldest_seconds: { type: 'gauge', of: 'engine', labels: consumer, help: 'Lag: age of the oldest of them, 0 when none waits.' },
  tenfold_bus_parked: { type: 'gauge', of: 'engine', labels: consumer, help: 'Messages that failed, or follow one of their key that did, and are tried again.' },
  tenfold_bus_dead_letters: { type: 'gauge', of: 'engine', labels: consumer, help: 'Messages that were given up and can be replayed.' },
  tenfold_queue_jobs: { type: 'gauge', of: 'engine', labels: ['state'], help: 'Jobs by state: waiting, running, scheduled, dead.' },
  tenfold_queue_oldest_seconds: { type: 'gauge', of: 'engine', labels: [], help: 'How long the oldest waiting job could have run already, 0 when none waits.' },
  tenfold_broker_stored_messages: { type: 'gauge', of: 'engine', labels: ['stream'], help: 'Messages that the broker keeps: in events what consumers have handled too, until it is old or room is needed.' },
  tenfold_broker_stored_bytes: { type: 'gauge', of: 'engine', labels: ['stream'], help: 'Bytes that the broker keeps.' },
  tenfold_broker_stored_bytes_max: { type: 'gauge', of: 'engine', labels: ['stream'], help: 'Bytes that it may keep; what is more waits in the outbox. Absent where nothing limits it.' },
  tenfold_broker_replicas_missing: { type: 'gauge', of: 'engine', labels: ['stream'], help: 'Copies of the stream that are away or behind.' },
  tenfold_balancer_nodes: { type: 'gauge', of: 'engine', labels: ['state'], help: 'Nodes of the balancer by state: up, draining, down (does not answer its checks), ejected (fails far more often than the others); absent without a balancer.' },
  tenfold_balancer_requests_total: { type: 'counter', of: 'engine', labels: [], help: 'Requests of clients since the balancer started.' },
  tenfold_balancer_repeated_total: { type: 'counter', of: 'engine', labels: [], help: 'Requests that were given to another node after the first had failed.' },
  tenfold_balancer_waiting: { type: 'gauge', of: 'engine', labels: [], help: 'Requests that wait because no node has room for them.' },
  tenfold_postgres_connections: { type: 'gauge', of: 'engine', labels: ['state'], help: 'Connections of the server by state, as pg_stat_activity calls it.' },
  tenfold_postgres_connections_max: { type: 'gauge', of: 'engine', labels: [], help: 'Connections that the server allows.' },
  tenfold_postgres_locks_waiting: { type: 'gauge', of: 'engine', labels: [], help: 'Locks that are waited for.' },
  tenfold_postgres_commits_total: { type: 'counter', of: 'engine', labels: [], help: 'Transactions committed, single statements too.' },
  tenfold_postgres_rollbacks_total: { type: 'counter', of: 'engine', labels: [], help: 'Transactions rolled back.' },
  tenfold_postgres_deadlocks_total: { type: 'counter', of: 'engine', labels: [], help: 'Deadlocks that were broken.' },
  tenfold_postgres_blocks_hit_total: { type: 'counter', of: 'engine', labels: [], help: 'Blocks of 8 KiB that were found in shared buffers.' },
  tenfold_postgres_blocks_read_total: { type: 'counter', of: 'engine', labels: [], help: 'Blocks that were read from the system; the hit ratio is hit / (hit + read).' },
  tenfold_postgres_temporary_bytes_total: { type: 'counter', of: 'engine', labels: [], help: 'Bytes that statements wrote to temporary files.' },
  tenfold_postgres_size_bytes: { type: 'gauge', of: 'engine', labels: [], help: 'Size of the database.' },
  tenfold_postgres_wal_bytes_total: { type: 'counter', of: 'engine', labels: [], help: 'Bytes of write-ahead log.' },
  tenfold_postgres_checkpoints_total: { type: 'counter', of: 'engine', labels: ['cause'], help: 'Checkpoints, timed or requested.' },
  tenfold_postgres_cpu_seconds_total: { type: 'counter', of: 'engine', labels: [], help: 'CPU time of all processes of the server; absent where it runs on another machine or the system does not tell.' },
  tenfold_postgres_cpu_wait_seconds_total: { type: 'counter', of: 'engine', labels: [], help: 'Time in which its processes that still run could have run and no processor was free; absent like the CPU time.' },
  tenfold_postgres_oldest_transaction_seconds: { type: 'gauge', of: 'engine', labels: [], help: 'Age of the oldest transaction that runs; what is older than it waits on the bus.' },
  tenfold_redis_memory_bytes: { type: 'gauge', of: 'engine', labels: ['server'], help: 'Memory that the Redis uses.' },
  tenfold_redis_memory_limit_bytes: { type: 'gauge', of: 'engine', labels: ['server'], help: 'Memory that it may use; absent without a limit.' },
  tenfold_redis_hits_total: { type: 'counter', of: 'engine', labels: ['server'], help: 'Reads of keys that were there.' },
  tenfold_redis_misses_total: { type: 'counter', of: 'engine', labels: ['server'], help: 'Reads of keys that were not there.' },
  tenfold_redis_evictions_total: { type: 'counter', of: 'engine', labels: ['server'], help: 'Keys that had to make room.' },
  tenfold_redis_keys: { type: 'gauge', of: 'engine', labels: ['server'], help: 'Keys that it holds.' },
  tenfold_redis_commands_total: { type: 'counter', of: 'engine', labels: ['server'], help: 'Commands that it has run, those within scripts too.' },
  tenfold_redis_connections: { type: 'gauge', of: 'engine', labels: ['server'], help: 'Connections of clients.' },
  tenfold_postgres_replication_lag_bytes: { type: 'gauge', of: 'engine', labels: ['replica'], help: 'Write-ahead log that a replica has not yet replayed; absent without replicas.' },
  tenfold_postgres_replication_lag_seconds: { type: 'gauge', of: 'engine', labels: ['replica'], help: 'How long a replica takes from the log of the primary to what it shows; 0 while there is nothing to replay.' },
  tenfold_postgres_timeline: { type: 'gauge', of: 'engine', labels: [], help: 'Timeline of the primary: one more with each promotion of a replica.' },
  tenfold_postgres_clock_offset_seconds: { type: 'gauge', of: 'engine', labels: [], help: 'How far the clock of the primary is from that of the supervisor, as exactly as half an answer takes; about 0 on one machine.' },
  tenfold_postgres_replicas_confirming: { type: 'gauge', of: 'engine', labels: [], help: 'Replicas that follow and count for a commit.' },
  tenfold_postgres_replicas_awaited: { type: 'gauge', of: 'engine', labels: [], help: 'Replicas that must have a commit on disk before it is acknowledged.' },
} as const satisfies Record<string, MetricEntry>

export const metricTable = { ...intents, ...processes, ...supervisor, ...engines } as const

export type MetricName = keyof typeof metricTable
type NamesOf<Type extends MetricEntry['type']> = { [Name in MetricName]: typeof metricTable[Name]['type'] extends Type ? Name : never }[MetricName]
export type CounterName = NamesOf<'counter'>
export type GaugeName = NamesOf<'gauge'>
export type HistogramName = NamesOf<'histogram'>

/** The unit that a name ends with; empty for plain numbers. */
export function unitOf(name: string): '' | 'seconds' | 'bytes' {
  const plain = name.replace(/_total$/, '')
  return plain.endsWith('_seconds') ? 'seconds' : plain.endsWith('_bytes') ? 'bytes' : ''
}
