/** What is measured of connections to Postgres: in use, idle, the most there may be, and who waits. */
import type pg from 'pg'
import type { MetricRegistry } from '../../base/metric-registry.ts'

export interface PoolState {
  readonly service: string
  readonly pool: string
  readonly used: number
  readonly idle: number
  readonly max: number
  readonly waiting: number
}

export function observePools(metrics: MetricRegistry | null | undefined, read: () => readonly PoolState[]): void {
  if (!metrics) return
  const labelsOf = ({ service, pool }: PoolState) => ({ service, pool })
  metrics.observe('db_client_connections', () => read().flatMap(one => [
    { labels: { ...labelsOf(one), state: 'used' }, value: one.used }, { labels: { ...labelsOf(one), state: 'idle' }, value: one.idle }]))
  metrics.observe('db_client_connections_max', () => read().map(one => ({ labels: labelsOf(one), value: one.max })))
  metrics.observe('db_client_connections_pending_requests', () => read().map(one => ({ labels: labelsOf(one), value: one.waiting })))
}

export function stateOf(service: string, name: string, pool: pg.Pool): PoolState {
  return { service, pool: name, used: pool.totalCount - pool.idleCount, idle: pool.idleCount, max: pool.options.max, waiting: pool.waitingCount }
}
