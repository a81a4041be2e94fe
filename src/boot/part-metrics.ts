/** Metrics of what a process is made of beside its drivers: every intent from the start, the limiter, the cache. */
import type { MetricRegistry } from '../base/metric-registry.ts'
import type { Application } from '../model/app.ts'
import type { Declared } from '../model/intent.ts'
import type { Cache } from '../ports/cache.ts'
import type { Limiter } from '../runtime/limiter.ts'
import type { RateGate } from '../runtime/rate-gate.ts'
import { sharedResults } from '../runtime/shared-tier.ts'
import type { SharedTier } from '../runtime/shared-tier.ts'
import type { Statistics } from '../runtime/statistics.ts'
import type { Role } from '../topology/topology.ts'

export interface Parts {
  readonly app: Application
  readonly does: Role | 'calls'
  readonly statistics: Statistics
  readonly limiter: Limiter
  readonly gate: RateGate
  readonly cache: Cache | null
  readonly shared: SharedTier | null
}

export function measureParts(metrics: MetricRegistry, { app, does, statistics, limiter, gate, cache, shared }: Parts): void {
  // A series that is missing until something fails cannot be alerted on.
  for (const intent of app.intents.values()) if (runsHere(intent, does)) statistics.meterOf(intent)
  metrics.observeOne('tenfold_limiter_limit', () => limiter.state.limit)
  metrics.observeOne('tenfold_limiter_in_flight', () => limiter.state.inFlight)
  metrics.observeOne('tenfold_rate_local_total', () => gate.alone.value)
  if (!cache) return
  metrics.observeOne('tenfold_cache_bytes', () => cache.stats().bytes)
  metrics.observeOne('tenfold_cache_limit_bytes', () => cache.stats().bytesMax)
  metrics.observeOne('tenfold_cache_entries', () => cache.stats().entries)
  metrics.observeOne('tenfold_cache_evictions_total', () => cache.stats().evictions)
  if (!shared) return
  metrics.observe('tenfold_cache_shared_requests_total', () => sharedResults.map(result => ({ labels: { result }, value: shared.counts[result].value })))
  metrics.observeOne('tenfold_cache_shared_up', () => shared.isUp ? 1 : 0)
}

/** Others may be called from here and are measured then. */
function runsHere({ kind }: Declared, does: Parts['does']): boolean {
  if (kind === 'query' || kind === 'command') return does !== 'background'
  return kind !== 'event' && (does === 'background' || does === 'everything')
}
