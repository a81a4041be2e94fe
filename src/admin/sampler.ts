/** Makes samples of metrics: what has happened between two readings, per second, and between the last and one ten seconds ago, by intent. */
import { MetricWindow, Reading } from '../base/metric-window.ts'
import type { Labels } from '../base/metric-window.ts'
import type { MetricName } from '../base/metric-table.ts'
import { monotonicMs, now } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import { balancerOf, brokerOf, redisOf, replicasOf, scalingOf } from './engine-samples.ts'
import { metricFamilies } from './metrics.ts'
import { pressureOf } from './pressure.ts'
import type { ConsumerSample, HttpSample, IntentSample, PostgresSample, ProcessSample, ProcessUse, QueueSample, Sample } from './sample.ts'

const windowReadings = 10

export class Sampler {
  readonly #deployment: Deployment
  #readings: Reading[] = []

  constructor(deployment: Deployment) { this.#deployment = deployment }

  /** What the first sample is counted from. */
  async begin(): Promise<void> { this.#readings = [await this.#read()] }

  async next(): Promise<Sample> {
    if (this.#readings.length === 0) await this.begin()
    const after = await this.#read()
    const recent = new MetricWindow(this.#readings.at(-1)!, after)
    const long = new MetricWindow(this.#readings[0]!, after)
    this.#readings = [...this.#readings, after].slice(-windowReadings)
    const processes = this.#processes(recent)
    const postgres = postgresOf(recent)
    return {
      atMs: now(), processes, intents: intentsOf(long), http: httpOf(recent, long), consumers: consumersOf(after), queue: queueOf(after), postgres,
      replicas: replicasOf(recent), redis: redisOf(recent), broker: brokerOf(after), balancer: balancerOf(recent), scaling: scalingOf(after),
      pressure: pressureOf(processes, postgres),
    }
  }

  async #read(): Promise<Reading> { return new Reading(monotonicMs(), await metricFamilies(this.#deployment)) }

  #processes(span: MetricWindow): ProcessSample[] {
    const { orchestrator, plan } = this.#deployment
    return orchestrator.observe().map(({ name, replica, pid, state, restarts, startedAtMs }) => ({
      name, replica, pid, state, restarts, startedAtMs, does: plan.processes.find(one => one.name === name)?.does ?? '',
      use: state === 'ready' ? useOf(span, `${name}-${replica}`) : null,
    }))
  }
}

function useOf(span: MetricWindow, process: string): ProcessUse | null {
  const of = { process }
  const { after } = span
  if (after.sum('process_resident_memory_bytes', of) === null) return null
  const active = span.count('nodejs_eventloop_time_seconds_total', { process, state: 'active' })
  const idle = span.count('nodejs_eventloop_time_seconds_total', { process, state: 'idle' })
  const now = (name: MetricName, labels: Labels = {}) => after.sum(name, { process, ...labels }) ?? 0
  return {
    cpu: span.rate('process_cpu_seconds_total', of), loop: active + idle > 0 ? active / (active + idle) : 0, memoryBytes: now('process_resident_memory_bytes'),
    requestsPerSecond: span.rate('http_server_request_duration_seconds', of), statementsPerSecond: span.rate('tenfold_intent_statements_total', of),
    ...messagesOf(span, process), sharedLooksPerSecond: span.rate('tenfold_cache_shared_requests_total', of),
    inFlight: now('tenfold_limiter_in_flight'), inFlightMax: now('tenfold_limiter_limit'),
    connections: now('db_client_connections', { state: 'used' }), connectionsMax: now('db_client_connections_max'), connectionsAwaited: now('db_client_connections_pending_requests', { pool: 'write' }),
    cacheBytes: now('tenfold_cache_bytes'), cacheBytesMax: now('tenfold_cache_limit_bytes'), cacheHits: hitsOf(span, of),
  }
}

/** What a process has handled, by what it is. */
function messagesOf(span: MetricWindow, process: string): Pick<ProcessUse, 'eventsPerSecond' | 'jobsPerSecond'> {
  const rates = { eventsPerSecond: 0, jobsPerSecond: 0 }
  for (const { labels: { intent, kind } } of span.after.of('tenfold_intent_requests_total', { process, outcome: 'ok' })) {
    if (kind === 'query' || kind === 'command') continue
    rates[kind === 'job' ? 'jobsPerSecond' : 'eventsPerSecond'] += span.rate('tenfold_intent_messages_total', { process, intent: intent! })
  }
  return rates
}

/** Share of what may be kept that was given from what was kept. */
function hitsOf(span: MetricWindow, labels: Labels): number | null {
  const count = (result: string) => span.count('tenfold_intent_cache_requests_total', { ...labels, result })
  const kept = count('hit') + count('stale')
  const all = kept + count('coalesced') + count('miss')
  return all > 0 ? kept / all : null
}

function intentsOf(span: MetricWindow): IntentSample[] {
  return span.after.values('tenfold_intent_requests_total', 'intent').flatMap(intent => {
    const of = { intent }
    const calls = span.count('tenfold_intent_requests_total', of)
    if (calls === 0) return []
    const rate = (outcome: string) => span.rate('tenfold_intent_requests_total', { intent, outcome })
    const ran = Math.max(1, span.count('tenfold_intent_duration_seconds', of))
    return [{
      intent, kind: span.after.of('tenfold_intent_requests_total', of)[0]!.labels.kind ?? '', perSecond: calls / span.seconds,
      refusedPerSecond: rate('refused'), failedPerSecond: rate('failed'), shedPerSecond: rate('shed'),
      p50Ms: span.quantileMs('tenfold_intent_duration_seconds', 0.5, of), p99Ms: span.quantileMs('tenfold_intent_duration_seconds', 0.99, of),
      cacheHits: hitsOf(span, of), statementsPerCall: span.count('tenfold_intent_statements_total', of) / ran,
      statementMsPerCall: span.count('tenfold_intent_statement_seconds_total', of) * 1_000 / ran,
    }]
  })
}

function httpOf(recent: MetricWindow, long: MetricWindow): HttpSample {
  const name = 'http_server_request_duration_seconds'
  const failed = recent.after.values(name, 'http_response_status_code').filter(status => status.startsWith('5'))
    .reduce((sum, status) => sum + recent.rate(name, { http_response_status_code: status }), 0)
  return { perSecond: recent.rate(name), failedPerSecond: failed, p50Ms: long.quantileMs(name, 0.5), p99Ms: long.quantileMs(name, 0.99) }
}

function consumersOf(reading: Reading): ConsumerSample[] | null {
  const names = reading.values('tenfold_bus_waiting', 'consumer')
  if (names.length === 0) return null
  return names.map(consumer => {
    const now = (name: MetricName) => reading.sum(name, { consumer }) ?? 0
    return { name: consumer, waiting: now('tenfold_bus_waiting'), oldestMs: now('tenfold_bus_oldest_seconds') * 1_000, parked: now('tenfold_bus_parked'), dead: now('tenfold_bus_dead_letters') }
  })
}

function queueOf(reading: Reading): QueueSample | null {
  const of = (state: string) => reading.sum('tenfold_queue_jobs', { state }) ?? 0
  if (reading.sum('tenfold_queue_jobs') === null) return null
  return { waiting: of('waiting'), running: of('running'), scheduled: of('scheduled'), dead: of('dead'), oldestMs: (reading.sum('tenfold_queue_oldest_seconds') ?? 0) * 1_000 }
}

function postgresOf(span: MetricWindow): PostgresSample | null {
  const connectionsMax = span.after.sum('tenfold_postgres_connections_max')
  if (connectionsMax === null) return null
  const now = (name: MetricName) => span.after.sum(name) ?? 0
  const [hit, read] = [span.count('tenfold_postgres_blocks_hit_total'), span.count('tenfold_postgres_blocks_read_total')]
  return {
    connections: now('tenfold_postgres_connections'), connectionsMax, locksAwaited: now('tenfold_postgres_locks_waiting'),
    commitsPerSecond: span.rate('tenfold_postgres_commits_total'), rollbacksPerSecond: span.rate('tenfold_postgres_rollbacks_total'),
    walBytesPerSecond: span.rate('tenfold_postgres_wal_bytes_total'), cacheHits: hit + read > 0 ? hit / (hit + read) : null, sizeBytes: now('tenfold_postgres_size_bytes'),
  }
}
