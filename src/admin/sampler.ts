/** Makes samples of metrics: what has happened between two readings, per second, and between the last and one ten seconds ago, by intent. */
import { mergeBuckets, quantileOf } from '../base/histogram.ts'
import type { NativeBuckets } from '../base/histogram.ts'
import type { HistogramSample, NumberSample } from '../base/metric-registry.ts'
import type { MetricName } from '../base/metric-table.ts'
import { monotonicMs, now } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import { metricFamilies } from './metrics.ts'
import { pressureOf } from './pressure.ts'
import type { ConsumerSample, HttpSample, IntentSample, PostgresSample, ProcessSample, ProcessUse, QueueSample, Sample } from './sample.ts'

type AnySample = NumberSample | HistogramSample
type Labels = Readonly<Record<string, string>>

/** All that was told at one moment. */
export class Reading {
  readonly atMs: number
  readonly #samples: ReadonlyMap<string, readonly AnySample[]>

  constructor(atMs: number, families: readonly { readonly name: string; readonly samples: readonly AnySample[] }[]) {
    this.atMs = atMs
    this.#samples = new Map(families.map(one => [one.name, one.samples]))
  }

  of(name: MetricName, labels: Labels = {}): readonly AnySample[] {
    const wanted = Object.entries(labels)
    return (this.#samples.get(name) ?? []).filter(one => wanted.every(([label, value]) => one.labels[label] === value))
  }

  /** Null when nobody tells it. */
  sum(name: MetricName, labels: Labels = {}): number | null {
    const found = this.of(name, labels)
    return found.length === 0 ? null : found.reduce((sum, one) => sum + ('value' in one ? one.value : one.count), 0)
  }

  values(name: MetricName, label: string): string[] { return [...new Set(this.of(name).map(one => one.labels[label]!))] }
}

/** What has happened from one reading to another. A counter that went back began anew with its process. */
export class Span {
  readonly before: Reading
  readonly after: Reading
  readonly seconds: number

  constructor(before: Reading, after: Reading) {
    this.before = before
    this.after = after
    this.seconds = Math.max(0.001, (after.atMs - before.atMs) / 1_000)
  }

  count(name: MetricName, labels: Labels = {}): number {
    const earlier = new Map(this.before.of(name, labels).map(one => [keyOf(one.labels), countOf(one)]))
    return this.after.of(name, labels).reduce((sum, one) => {
      const [then, value] = [earlier.get(keyOf(one.labels)) ?? 0, countOf(one)]
      return sum + (value < then ? value : value - then)
    }, 0)
  }

  rate(name: MetricName, labels: Labels = {}): number { return this.count(name, labels) / this.seconds }

  buckets(name: MetricName, labels: Labels = {}): NativeBuckets {
    const earlier = new Map(this.before.of(name, labels).map(one => [keyOf(one.labels), one]))
    return mergeBuckets(this.after.of(name, labels).map(one => 'native' in one ? bucketsSince(one, earlier.get(keyOf(one.labels))) : []))
  }

  quantileMs(name: MetricName, share: number, labels: Labels = {}): number | null {
    const seconds = quantileOf(this.buckets(name, labels), share)
    return seconds === null ? null : seconds * 1_000
  }
}

const keyOf = (labels: Labels): string => Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1).join(';')
const countOf = (sample: AnySample): number => 'value' in sample ? sample.value : sample.count

function bucketsSince(now: HistogramSample, before: AnySample | undefined): NativeBuckets {
  if (!before || !('native' in before) || before.count > now.count) return now.native
  const earlier = new Map(before.native)
  return now.native.map(([index, count]) => [index, count - (earlier.get(index) ?? 0)] as const).filter(([, count]) => count > 0)
}

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
    const recent = new Span(this.#readings.at(-1)!, after)
    const long = new Span(this.#readings[0]!, after)
    this.#readings = [...this.#readings, after].slice(-windowReadings)
    const processes = this.#processes(recent)
    const postgres = postgresOf(recent)
    return {
      atMs: now(), processes, intents: intentsOf(long), http: httpOf(recent, long), consumers: consumersOf(after), queue: queueOf(after), postgres,
      pressure: pressureOf(processes, postgres),
    }
  }

  async #read(): Promise<Reading> { return new Reading(monotonicMs(), await metricFamilies(this.#deployment)) }

  #processes(span: Span): ProcessSample[] {
    const { orchestrator, plan } = this.#deployment
    return orchestrator.observe().map(({ name, replica, pid, state, restarts, startedAtMs }) => ({
      name, replica, pid, state, restarts, startedAtMs, does: plan.processes.find(one => one.name === name)?.does ?? '',
      use: state === 'ready' ? useOf(span, `${name}-${replica}`) : null,
    }))
  }
}

function useOf(span: Span, process: string): ProcessUse | null {
  const of = { process }
  const { after } = span
  if (after.sum('process_resident_memory_bytes', of) === null) return null
  const active = span.count('nodejs_eventloop_time_seconds_total', { process, state: 'active' })
  const idle = span.count('nodejs_eventloop_time_seconds_total', { process, state: 'idle' })
  const now = (name: MetricName, labels: Labels = {}) => after.sum(name, { process, ...labels }) ?? 0
  return {
    cpu: span.rate('process_cpu_seconds_total', of), loop: active + idle > 0 ? active / (active + idle) : 0, memoryBytes: now('process_resident_memory_bytes'),
    requestsPerSecond: span.rate('http_server_request_duration_seconds', of), statementsPerSecond: span.rate('tenfold_intent_statements_total', of),
    ...messagesOf(span, process),
    inFlight: now('tenfold_limiter_in_flight'), inFlightMax: now('tenfold_limiter_limit'),
    connections: now('db_client_connections', { state: 'used' }), connectionsMax: now('db_client_connections_max'), connectionsAwaited: now('db_client_connections_pending_requests', { pool: 'write' }),
    cacheBytes: now('tenfold_cache_bytes'), cacheBytesMax: now('tenfold_cache_limit_bytes'), cacheHits: hitsOf(span, of),
  }
}

/** What a process has handled, by what it is. */
function messagesOf(span: Span, process: string): Pick<ProcessUse, 'eventsPerSecond' | 'jobsPerSecond'> {
  const rates = { eventsPerSecond: 0, jobsPerSecond: 0 }
  for (const { labels: { intent, kind } } of span.after.of('tenfold_intent_requests_total', { process, outcome: 'ok' })) {
    if (kind === 'query' || kind === 'command') continue
    rates[kind === 'job' ? 'jobsPerSecond' : 'eventsPerSecond'] += span.rate('tenfold_intent_messages_total', { process, intent: intent! })
  }
  return rates
}

/** Share of what may be kept that was given from what was kept. */
function hitsOf(span: Span, labels: Labels): number | null {
  const count = (result: string) => span.count('tenfold_intent_cache_requests_total', { ...labels, result })
  const kept = count('hit') + count('stale')
  const all = kept + count('coalesced') + count('miss')
  return all > 0 ? kept / all : null
}

function intentsOf(span: Span): IntentSample[] {
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

function httpOf(recent: Span, long: Span): HttpSample {
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

function postgresOf(span: Span): PostgresSample | null {
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
