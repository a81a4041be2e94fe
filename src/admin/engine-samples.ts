/** What the console is told of the engines beside the database: replicas, Redis, broker, balancer, and of the autoscaler. */
import type { MetricWindow, Reading } from '../base/metric-window.ts'
import type { BalancerSample, BrokerSample, RedisSample, ReplicasSample, ScalingSample } from './sample.ts'

/** Null without replicas, now and before. */
export function replicasOf(span: MetricWindow): ReplicasSample | null {
  const { after } = span
  const awaited = after.sum('tenfold_postgres_replicas_awaited')
  const names = after.values('tenfold_postgres_replication_lag_bytes', 'replica').sort()
  if (awaited === null || (names.length === 0 && awaited === 0)) return null
  return {
    awaited, confirming: after.sum('tenfold_postgres_replicas_confirming') ?? 0,
    readsPerSecond: span.rate('tenfold_database_readers_total', { server: 'replica' }), primaryReadsPerSecond: span.rate('tenfold_database_readers_total', { server: 'primary' }),
    replicas: names.map(name => ({ name, lagBytes: after.sum('tenfold_postgres_replication_lag_bytes', { replica: name }) ?? 0, lagMs: (after.sum('tenfold_postgres_replication_lag_seconds', { replica: name }) ?? 0) * 1_000 })),
  }
}

const isUp = (after: Reading, engine: string): boolean => after.sum('tenfold_engine_up', { engine }) === 1

/** Those that the topology has; one that does not answer has no numbers. */
export function redisOf(span: MetricWindow): RedisSample[] {
  const { after } = span
  return after.values('tenfold_engine_up', 'engine').filter(name => name.startsWith('redis')).map(server => {
    const of = { server }
    const [hits, misses] = [span.count('tenfold_redis_hits_total', of), span.count('tenfold_redis_misses_total', of)]
    return {
      server, isUp: isUp(after, server), memoryBytes: after.sum('tenfold_redis_memory_bytes', of), memoryBytesMax: after.sum('tenfold_redis_memory_limit_bytes', of),
      keys: after.sum('tenfold_redis_keys', of), hits: hits + misses > 0 ? hits / (hits + misses) : null, commandsPerSecond: span.rate('tenfold_redis_commands_total', of),
    }
  })
}

/** Null without a broker. */
export function brokerOf(after: Reading): BrokerSample | null {
  if (after.sum('tenfold_engine_up', { engine: 'nats' }) === null) return null
  const streams = after.values('tenfold_broker_stored_messages', 'stream').map(stream => {
    const of = { stream }
    return {
      name: stream, messages: after.sum('tenfold_broker_stored_messages', of) ?? 0, bytes: after.sum('tenfold_broker_stored_bytes', of) ?? 0,
      bytesMax: after.sum('tenfold_broker_stored_bytes_max', of), copiesMissing: after.sum('tenfold_broker_replicas_missing', of) ?? 0,
    }
  })
  return { isUp: isUp(after, 'nats'), streams }
}

/** Null without a balancer. */
export function balancerOf(span: MetricWindow): BalancerSample | null {
  const { after } = span
  if (after.sum('tenfold_engine_up', { engine: 'haproxy' }) === null) return null
  const nodes = (state: string) => after.sum('tenfold_balancer_nodes', { state }) ?? 0
  return {
    isUp: isUp(after, 'haproxy'), up: nodes('up'), draining: nodes('draining'), down: nodes('down'), ejected: nodes('ejected'),
    waiting: after.sum('tenfold_balancer_waiting') ?? 0, requestsPerSecond: span.rate('tenfold_balancer_requests_total'), repeatedPerSecond: span.rate('tenfold_balancer_repeated_total'),
  }
}

export function scalingOf(after: Reading): ScalingSample[] {
  return after.values('tenfold_scaling_wanted', 'name').map(name => ({ name, wanted: after.sum('tenfold_scaling_wanted', { name }) ?? 0, isLimited: after.sum('tenfold_scaling_limited', { name }) === 1 }))
}
