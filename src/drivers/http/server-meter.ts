/** What is measured of the HTTP server: durations by method and status, what runs, open connections. */
import type { Histogram } from '../../base/histogram.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import { monotonicMs } from '../../base/time.ts'
import type { ServerState, TrackedResponse } from './server.ts'

/** Others are one, as OpenTelemetry has it: a client may send any word. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

export class ServerMeter {
  readonly #metrics: MetricRegistry
  /** Durations of those that have ended, and the sum of the starts of those that have not: together the requests under way, summed over time. */
  #endedMs = 0
  #startsMs = 0
  readonly #byMethod = new Map<string, Map<number, Histogram>>()

  constructor(metrics: MetricRegistry, state: ServerState) {
    this.#metrics = metrics
    metrics.observeOne('http_server_active_requests', () => state.inFlight)
    metrics.observeOne('http_server_active_request_seconds_total', () => (this.#endedMs + state.inFlight * monotonicMs() - this.#startsMs) / 1_000)
    metrics.observeOne('http_server_open_connections', () => state.connections)
  }

  began(response: TrackedResponse): void { this.#startsMs += response.startedAtMs = monotonicMs() }

  ended({ req, statusCode, headersSent, startedAtMs }: TrackedResponse): void {
    const tookMs = monotonicMs() - startedAtMs
    this.#startsMs -= startedAtMs
    this.#endedMs += tookMs
    const given = req.method ?? ''
    const method = methods.has(given) ? given : '_OTHER'
    let byStatus = this.#byMethod.get(method)
    if (!byStatus) this.#byMethod.set(method, byStatus = new Map())
    // Who went away before the answer began has none; nginx's number for it.
    const status = headersSent ? statusCode : 499
    let durations = byStatus.get(status)
    if (!durations) byStatus.set(status, durations = this.#metrics.histogram('http_server_request_duration_seconds', method, String(status)))
    durations.observe(tookMs / 1_000)
  }
}
