/** Each alert on processes and engines fires beyond its threshold, and only it; and is silent a little before. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alerts, ruleGroups } from '../../src/insight/alerts/alert-files.ts'
import { burnAlerts } from '../../src/insight/alerts/burn-rate.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { complaintsOf, counter, gauge } from '../support/promtool.ts'
import type { GivenSeries } from '../support/promtool.ts'

const skip = skipWithout('prometheus')
const groups = ruleGroups({ application: 'shop', services: [], intents: [] }, { job: 'shop', target: '127.0.0.1:4000', runbooks: 'runbooks' })

const series = (name: string, labels: string, values: string): GivenSeries => ({ series: `${name}{job="shop"${labels ? `, ${labels}` : ''}}`, values })
const one = (name: string, labels: string, values: string) => [series(name, labels, values)]
const up = one('up', 'instance="a"', gauge(1))
const [web, other] = ['process="web-0"', 'process="web-1"']
/** What any process tells that answers its supervisor. */
const tells = (...processes: readonly string[]) => processes.map(process => series('process_start_time_seconds', process, gauge(1)))
const engineUp = (engine: string, value: number) => one('tenfold_engine_up', `engine="${engine}"`, gauge(value))
const room = (share: number) => [series('tenfold_disk_available_bytes', 'folder="data"', gauge(share)), series('tenfold_disk_size_bytes', 'folder="data"', gauge(100))]
const nodes = (state: string, value: number) => [series('tenfold_balancer_nodes', 'state="up"', gauge(2)), series('tenfold_balancer_nodes', `state="${state}"`, gauge(value))]
const mebibyte = 1_048_576

const loop = (busy: number) => [series('nodejs_eventloop_time_seconds_total', `${web}, state="active"`, counter([busy * 60, 180])), series('nodejs_eventloop_time_seconds_total', `${web}, state="idle"`, counter([(1 - busy) * 60, 180]))]
const delay = (fast: number) => [['0.2', fast], ['0.4', 100], ['+Inf', 100]].map(([le, count]) => series('nodejs_eventloop_delay_seconds_bucket', `${web}, le="${le}"`, counter([Number(count), 180])))
const share = (name: string, whole: string, labels: string, value: number) => [series(name, labels, gauge(value)), series(whole, labels, gauge(100))]
const connections = (active: number) => [series('tenfold_postgres_connections', 'state="active"', gauge(active)), series('tenfold_postgres_connections', 'state="idle"', gauge(40)), series('tenfold_postgres_connections_max', '', gauge(100))]
const following = (values: string) => [series('tenfold_postgres_replicas_confirming', '', values), series('tenfold_postgres_replicas_awaited', '', gauge(1))]
const confirming = (count: number) => [series('tenfold_postgres_replicas_confirming', '', gauge(count)), series('tenfold_postgres_replicas_awaited', '', gauge(1))]
/** Bytes at first, and bytes per minute. */
const growth = (bytes: number, perMinute: number) => one('tenfold_postgres_size_bytes', '', `${bytes}+${perMinute}x180`)
const bus = (name: string, consumer: string, value: number) => one(`tenfold_bus_${name}`, `consumer="${consumer}"`, gauge(value))

/** What makes it fire, and what does not yet. */
const cases: Readonly<Record<string, readonly [fires: GivenSeries[], silent: GivenSeries[]]>> = {
  TenfoldNoProcessReady: [[series('tenfold_process_ready', web, '1 1 0 0 0 0 1x170'), ...tells(web)], [series('tenfold_process_ready', web, '0 0 0 0 1x170'), series('tenfold_process_ready', other, gauge(1)), ...tells(web, other)]],
  TenfoldProcessNotReady: [[series('tenfold_process_ready', web, gauge(0)), series('tenfold_process_ready', other, gauge(1)), ...tells(other)], [series('tenfold_process_ready', web, gauge(1)), series('tenfold_process_ready', other, gauge(1)), ...tells(web, other)]],
  TenfoldProcessRestarts: [one('tenfold_process_restarts_total', web, counter([0, 170], [0.5, 10])), one('tenfold_process_restarts_total', web, counter([0, 170], [0.15, 10]))],
  TenfoldEventLoopBusy: [loop(0.95), loop(0.85)],
  TenfoldEventLoopDelay: [delay(90), delay(100)],
  TenfoldHeapNearLimit: [share('v8js_memory_heap_used_bytes', 'v8js_memory_heap_limit_bytes', web, 91), share('v8js_memory_heap_used_bytes', 'v8js_memory_heap_limit_bytes', web, 89)],
  TenfoldConnectionsAwaited: [one('db_client_connections_pending_requests', `${web}, service="a", pool="write"`, gauge(1)), one('db_client_connections_pending_requests', `${web}, service="a", pool="write"`, `0 1 1 1 ${'0 1 1 1 '.repeat(50)}`)],
  TenfoldEngineDown: [engineUp('postgres', 0), engineUp('postgres', 1)],
  TenfoldPostgresConnectionsNearMax: [connections(46), connections(44)],
  TenfoldPostgresCommitsUnconfirmed: [confirming(0), confirming(1)],
  TenfoldPostgresReplicationLag: [one('tenfold_postgres_replication_lag_bytes', 'replica="b"', gauge(257 * mebibyte)), one('tenfold_postgres_replication_lag_bytes', 'replica="b"', gauge(255 * mebibyte))],
  TenfoldPostgresLongTransaction: [one('tenfold_postgres_oldest_transaction_seconds', '', gauge(301)), one('tenfold_postgres_oldest_transaction_seconds', '', gauge(299))],
  TenfoldPostgresLocksAwaited: [one('tenfold_postgres_locks_waiting', '', gauge(6)), one('tenfold_postgres_locks_waiting', '', gauge(5))],
  TenfoldPostgresCheckpointsForced: [one('tenfold_postgres_checkpoints_total', 'cause="requested"', counter([0.2, 180])), one('tenfold_postgres_checkpoints_total', 'cause="requested"', counter([0.09, 180]))],
  TenfoldPostgresGrowth: [growth(2_048 * mebibyte, mebibyte), growth(2_048 * mebibyte, mebibyte / 10)],
  TenfoldDeadLetters: [bus('dead_letters', 'a.b', 1), bus('dead_letters', 'a.b', 0)],
  TenfoldDeadJobs: [one('tenfold_queue_jobs', 'state="dead"', gauge(1)), one('tenfold_queue_jobs', 'state="waiting"', gauge(100))],
  TenfoldJobsOld: [one('tenfold_queue_oldest_seconds', '', gauge(301)), one('tenfold_queue_oldest_seconds', '', gauge(299))],
  TenfoldRelayLag: [bus('oldest_seconds', 'tenfold.broker', 61), bus('oldest_seconds', 'tenfold.jobs', 59)],
  TenfoldConsumerLag: [bus('oldest_seconds', 'a.b', 61), bus('oldest_seconds', 'a.b', 59)],
  TenfoldBalancerDown: [engineUp('haproxy', 0), engineUp('haproxy', 1)],
  TenfoldBalancerNodesAway: [nodes('ejected', 1), nodes('draining', 1)],
  TenfoldBalancerFull: [one('tenfold_balancer_waiting', '', gauge(1)), one('tenfold_balancer_waiting', '', `0 3 ${'0 3 '.repeat(100)}`)],
  TenfoldRedisDown: [engineUp('redis', 0), engineUp('redis', 1)],
  TenfoldSessionsDown: [engineUp('redis-sessions', 0), engineUp('redis-sessions', 1)],
  TenfoldBrokerDown: [engineUp('nats', 0), engineUp('nats', 1)],
  TenfoldBrokerFull: [share('tenfold_broker_stored_bytes', 'tenfold_broker_stored_bytes_max', 'stream="events"', 91), share('tenfold_broker_stored_bytes', 'tenfold_broker_stored_bytes_max', 'stream="events"', 89)],
  TenfoldBrokerCopiesMissing: [one('tenfold_broker_replicas_missing', 'stream="events"', gauge(1)), one('tenfold_broker_replicas_missing', 'stream="events"', gauge(0))],
  TenfoldReplicaMissing: [following('2x60 1x120'), following(gauge(2))],
  TenfoldPostgresPromoted: [one('tenfold_postgres_timeline', '', '1x150 2x30'), one('tenfold_postgres_timeline', '', '1x60 2x120')],
  TenfoldScalingLimited: [one('tenfold_scaling_limited', 'name="web"', gauge(1)), one('tenfold_scaling_limited', 'name="web"', gauge(0))],
  TenfoldProcessSilent: [[series('tenfold_process_ready', web, gauge(1)), series('tenfold_process_ready', other, gauge(1)), ...tells(other)], [series('tenfold_process_ready', web, gauge(1)), ...tells(web)]],
  TenfoldDiskNearlyFull: [room(9), room(11)],
  TenfoldDiskFull: [room(1), room(11)],
  TenfoldClockOff: [one('tenfold_postgres_clock_offset_seconds', '', gauge(0.6)), [series('tenfold_postgres_clock_offset_seconds', '', gauge(0.4)), series('tenfold_clock_seconds', 'process="supervisor"', '15+60x180')]],
}

const severityOf = (name: string) => alerts.find(one => one.name === name)!.severity
/** What looks back for an hour or more needs as much; promtool takes as long as it is told of. */
const lookingBack = ['TenfoldProcessRestarts', 'TenfoldPostgresCheckpointsForced', 'TenfoldPostgresGrowth', 'TenfoldReplicaMissing', 'TenfoldPostgresPromoted']
const at = (name: string) => name === 'TenfoldNoProcessReady' ? '4m' : lookingBack.includes(name) ? '3h' : '30m'

test('each alert fires beyond its threshold, alone, and is silent before', { skip }, async () => {
  const others = alerts.filter(one => !burnAlerts.includes(one)).map(one => one.name)
  assert.deepEqual(Object.keys(cases).sort(), others.filter(name => name !== 'TenfoldDown').sort(), 'every alert has its case')
  assert.equal(await complaintsOf(groups, [
    ...Object.entries(cases).flatMap(([name, [fires, silent]]) => [
      { name, given: [...up, ...fires], at: { [at(name)]: [{ alertname: name, severity: severityOf(name) }] } },
      { name: `not ${name}`, given: [...up, ...silent], at: { [at(name)]: [] } },
    ]),
    { name: 'down', given: one('up', 'instance="a"', gauge(0)), at: { '1m': [], '3m': [{ alertname: 'TenfoldDown', severity: 'page' }] } },
    { name: 'another clock', given: [...up, series('tenfold_clock_seconds', 'process="supervisor"', '30+60x180')], at: { '30m': [{ alertname: 'TenfoldClockOff', severity: 'ticket' }] } },
    { name: 'absent', given: [], at: { '3m': [{ alertname: 'TenfoldDown', severity: 'page' }] } },
  ]), '')
})
