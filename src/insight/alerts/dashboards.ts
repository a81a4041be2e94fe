/** The dashboards: overview, intents, database, backlog and scale. */
import { dashboard } from './dashboard.ts'
import type { Panel, Query } from './dashboard.ts'
import { recordOf, seriesOf } from './series.ts'
import type { Series } from './series.ts'

export interface NamedDashboard { readonly name: string; readonly dashboard: object }

const sum = (by: string, expr: string) => `sum by (${by}) (${expr})`
/** Grafana puts in a window that fits the width of the panel. */
const rate = (series: string) => `rate(${series}[$__rate_interval])`
const quantile = (part: number, by: string, buckets: string): Query => ({ expr: `histogram_quantile(${part}, ${sum([...by ? [by] : [], 'le'].join(', '), rate(buckets))})`, legend: `${by ? `{{${by}}} ` : ''}p${part * 100}` })
const panel = (title: string, unit: string, ...queries: (Query | readonly [expr: string, legend: string])[]): Panel =>
  ({ title, unit, queries: queries.map(one => 'expr' in one ? one : { expr: one[0], legend: one[1] }) })

function overview(job: string, series: Series): Panel[] {
  const record = recordOf(job)
  const http = 'http_server_request_duration_seconds_bucket'
  const requests = sum('outcome', rate(series('tenfold_intent_requests_total')))
  return [
    panel('Requests of intents', 'reqps', [requests, '{{outcome}}']),
    panel('HTTP latency', 's', quantile(0.5, '', series(http)), quantile(0.99, '', series(http)), quantile(0.999, '', series(http))),
    panel('Budget of errors left', 'percentunit', [record('tenfold:slo_budget_left:ratio'), '{{intent}} {{sli}}']),
    panel('Burn rate over an hour', 'short', [`${record('tenfold:slo_errors:ratio_rate1h')} / ${record('tenfold:slo_budget:ratio')}`, '{{intent}} {{sli}}']),
    panel('Processes ready', 'short', [series('tenfold_process_ready'), '{{process}}'], [series('tenfold_engine_up'), '{{engine}}']),
    panel('Restarts in an hour', 'short', [`increase(${series('tenfold_process_restarts_total')}[1h])`, '{{process}}']),
    panel('Event loop, busy', 'percentunit', [`${sum('process', rate(series('nodejs_eventloop_time_seconds_total', { state: 'active' })))} / ${sum('process', rate(series('nodejs_eventloop_time_seconds_total')))}`, '{{process}}']),
    panel('Event loop, delay', 's', quantile(0.99, 'process', series('nodejs_eventloop_delay_seconds_bucket'))),
    panel('CPU', 'percentunit', [sum('process', rate(series('process_cpu_seconds_total'))), '{{process}}']),
    panel('Memory', 'bytes', [series('process_resident_memory_bytes'), '{{process}} resident'], [series('v8js_memory_heap_used_bytes'), '{{process}} heap']),
    panel('Garbage collector', 'percentunit', [sum('process', rate(series('v8js_gc_duration_seconds_sum'))), '{{process}}']),
    panel('Limiter', 'short', [series('tenfold_limiter_in_flight'), '{{process}} in flight'], [series('tenfold_limiter_limit'), '{{process}} limit']),
    panel('Shed', 'reqps', [sum('intent', rate(series('tenfold_intent_shed_total'))), '{{intent}}']),
    panel('Open connections', 'short', [series('http_server_open_connections'), '{{process}}']),
    panel('Cache', 'bytes', [series('tenfold_cache_bytes'), '{{process}}'], [series('tenfold_cache_limit_bytes'), '{{process}} limit']),
    panel('HTTP requests under way', 'short', [series('http_server_active_requests'), '{{process}}']),
  ]
}

function intents(series: Series): Panel[] {
  const intent = /$intent/
  const duration = series('tenfold_intent_duration_seconds_bucket', { intent, outcome: 'ok' })
  const per = (one: string, other: string) => `${sum('intent', rate(one))} / ${sum('intent', rate(other))}`
  const statements = series('tenfold_intent_statements_total', { intent })
  return [
    panel('Requests', 'reqps', [sum('intent, outcome', rate(series('tenfold_intent_requests_total', { intent }))), '{{intent}} {{outcome}}']),
    panel('Errors', 'reqps', [sum('intent, code', rate(series('tenfold_intent_errors_total', { intent }))), '{{intent}} {{code}}']),
    panel('Latency, median', 's', quantile(0.5, 'intent', duration)),
    panel('Latency, p99', 's', quantile(0.99, 'intent', duration)),
    panel('Latency, p99.9', 's', quantile(0.999, 'intent', duration)),
    panel('Answers from the cache', 'percentunit', [per(series('tenfold_intent_cache_requests_total', { intent, result: { notOneOf: ['miss'] } }), series('tenfold_intent_cache_requests_total', { intent })), '{{intent}}']),
    panel('Statements per request', 'short', [per(statements, series('tenfold_intent_requests_total', { intent })), '{{intent}}']),
    panel('Time per statement', 's', [per(series('tenfold_intent_statement_seconds_total', { intent }), statements), '{{intent}}']),
    panel('Calls of other intents', 'reqps', [sum('intent, target', rate(series('tenfold_intent_calls_total', { intent }))), '{{intent}} of {{target}}']),
    panel('Further tries', 'reqps', [sum('intent', rate(series('tenfold_intent_retries_total', { intent }))), '{{intent}}']),
    panel('Shed', 'reqps', [sum('intent', rate(series('tenfold_intent_shed_total', { intent }))), '{{intent}}']),
    panel('Beyond their deadline', 'reqps', [sum('intent', rate(series('tenfold_intent_expired_total', { intent }))), '{{intent}}']),
  ]
}

function database(series: Series): Panel[] {
  const [hit, read] = [rate(series('tenfold_postgres_blocks_hit_total')), rate(series('tenfold_postgres_blocks_read_total'))]
  return [
    panel('Connections of the server', 'short', [series('tenfold_postgres_connections'), '{{state}}'], [series('tenfold_postgres_connections_max'), 'limit']),
    panel('Pools, in use', 'percentunit', [`${sum('process, service, pool', series('db_client_connections', { state: 'used' }))} / ${sum('process, service, pool', series('db_client_connections_max'))}`, '{{process}} {{service}} {{pool}}']),
    panel('Waiting for a connection', 'short', [series('db_client_connections_pending_requests'), '{{process}} {{service}} {{pool}}']),
    panel('Transactions', 'ops', [rate(series('tenfold_postgres_commits_total')), 'committed'], [rate(series('tenfold_postgres_rollbacks_total')), 'rolled back']),
    panel('Locks waited for', 'short', [series('tenfold_postgres_locks_waiting'), 'waiting']),
    panel('Deadlocks', 'ops', [rate(series('tenfold_postgres_deadlocks_total')), 'broken']),
    panel('Blocks found in shared buffers', 'percentunit', [`${hit} / (${hit} + ${read})`, 'hit ratio']),
    panel('Temporary files', 'Bps', [rate(series('tenfold_postgres_temporary_bytes_total')), 'written']),
    panel('Write-ahead log', 'Bps', [rate(series('tenfold_postgres_wal_bytes_total')), 'written']),
    panel('Checkpoints in an hour', 'short', [`increase(${series('tenfold_postgres_checkpoints_total')}[1h])`, '{{cause}}']),
    panel('Size', 'bytes', [series('tenfold_postgres_size_bytes'), 'database']),
    panel('Oldest transaction', 's', [series('tenfold_postgres_oldest_transaction_seconds'), 'age']),
    panel('Replicas, behind', 'bytes', [series('tenfold_postgres_replication_lag_bytes'), '{{replica}}']),
    panel('Queries by where they read', 'reqps', [`sum by (server) (rate(${series('tenfold_database_readers_total')}[5m]))`, '{{server}}']),
    panel('Time to tell the measurements', 's', [series('tenfold_engine_read_seconds'), '{{engine}}']),
  ]
}

function backlog(series: Series): Panel[] {
  const handled = (kind: string) => sum('intent', rate(series('tenfold_intent_duration_seconds_count', { kind })))
  return [
    panel('Events waiting', 'short', [series('tenfold_bus_waiting'), '{{consumer}}']),
    panel('Events, lag', 's', [series('tenfold_bus_oldest_seconds'), '{{consumer}}']),
    panel('Events parked', 'short', [series('tenfold_bus_parked'), '{{consumer}}']),
    panel('Dead letters', 'short', [series('tenfold_bus_dead_letters'), '{{consumer}}']),
    panel('Jobs', 'short', [series('tenfold_queue_jobs'), '{{state}}']),
    panel('Jobs, oldest', 's', [series('tenfold_queue_oldest_seconds'), 'could have run']),
    panel('Handled', 'ops', [sum('intent', rate(series('tenfold_intent_messages_total'))), '{{intent}}']),
    panel('Given up in an hour', 'short', [sum('intent', `increase(${series('tenfold_intent_dead_total')}[1h])`), '{{intent}}']),
    panel('Attempts of jobs', 'ops', [handled('job'), '{{intent}}']),
    panel('Time of an attempt, p99', 's', quantile(0.99, 'intent', series('tenfold_intent_duration_seconds_bucket', { kind: 'job' }))),
    panel('Deliveries to subscriptions', 'ops', [handled('subscription'), '{{intent}}']),
    panel('Batches of projections', 'ops', [handled('projection'), '{{intent}}']),
  ]
}

function scale(series: Series): Panel[] {
  const [hits, misses] = [rate(series('tenfold_redis_hits_total')), rate(series('tenfold_redis_misses_total'))]
  return [
    panel('Nodes of the balancer', 'short', [series('tenfold_balancer_nodes'), '{{state}}']),
    panel('Requests at the balancer', 'reqps', [rate(series('tenfold_balancer_requests_total')), 'all'], [rate(series('tenfold_balancer_repeated_total')), 'given to another node']),
    panel('Waiting for a node', 'short', [series('tenfold_balancer_waiting'), 'requests']),
    panel('Processes wanted', 'short', [series('tenfold_scaling_wanted'), '{{name}}'], [series('tenfold_scaling_limited'), '{{name}}: more than allowed']),
    panel('Replicas, time behind', 's', [series('tenfold_postgres_replication_lag_seconds'), '{{replica}}']),
    panel('Replicas that confirm', 'short', [series('tenfold_postgres_replicas_confirming'), 'follow'], [series('tenfold_postgres_replicas_awaited'), 'needed'], [series('tenfold_postgres_timeline'), 'timeline']),
    panel('Redis, memory', 'bytes', [series('tenfold_redis_memory_bytes'), '{{server}}'], [series('tenfold_redis_memory_limit_bytes'), '{{server}} limit']),
    panel('Redis, keys found', 'percentunit', [`${hits} / (${hits} + ${misses})`, '{{server}}']),
    panel('Broker, messages kept', 'short', [series('tenfold_broker_stored_messages'), '{{stream}}']),
    panel('Broker, bytes kept', 'bytes', [series('tenfold_broker_stored_bytes'), '{{stream}}'], [series('tenfold_broker_stored_bytes_max'), '{{stream}} limit']),
    panel('Disks, room left', 'bytes', [series('tenfold_disk_available_bytes'), '{{folder}}']),
    panel('Clocks, apart', 's', [series('tenfold_postgres_clock_offset_seconds'), 'database']),
  ]
}

export function dashboards(job: string): NamedDashboard[] {
  const series = seriesOf(job)
  const one = (name: string, panels: Panel[], variables: Parameters<typeof dashboard>[3] = []): NamedDashboard =>
    ({ name, dashboard: dashboard(`tenfold-${job}-${name}`.slice(0, 40), `${job}: ${name}`, panels, variables) })
  return [
    one('overview', overview(job, series)),
    one('intents', intents(series), [{ name: 'intent', query: `label_values(${series('tenfold_intent_requests_total')}, intent)` }]),
    one('database', database(series)),
    one('backlog', backlog(series)),
    one('scale', scale(series)),
  ]
}
