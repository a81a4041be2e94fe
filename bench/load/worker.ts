/**
 * The load generator's process: gets a plan, runs it, sends the report.
 *
 * Closed loop: a connection sends its next request when the last was answered. Open loop:
 * requests fall due by the clock, wait in a queue while no connection is free, and their
 * latency counts from the moment they were due, so that a slow server cannot hide it.
 */
import { Connection } from '../../src/load/connection.ts'
import { exponential } from '../../src/load/draw.ts'
import { Histogram } from '../../src/load/histogram.ts'
import type { LoadPlan, LoadReport, LoadRequest } from './plan.ts'

const sequenceMark = '{{sequence}}'
const reconnectMs = 20
let sequence = Date.now() % 1e9 * 1_000

/** Makes the bytes of a request; constant ones are made once. */
function composer(request: LoadRequest, host: string): () => Buffer {
  const compose = (body: string) => {
    const headers = Object.entries({ host, ...(body === '' ? {} : { 'content-type': 'application/json' }), ...request.headers })
    if (body !== '' || request.method !== 'GET') headers.push(['content-length', String(Buffer.byteLength(body))])
    return Buffer.from(`${request.method} ${request.path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`)
  }
  const body = request.body ?? ''
  if (body.includes(sequenceMark)) return () => compose(body.replaceAll(sequenceMark, String(sequence++)))
  const bytes = compose(body)
  return () => bytes
}

class Run {
  private readonly plan: LoadPlan
  private readonly timeoutMs: number
  private readonly sliceMs: number
  private readonly composers: (() => Buffer)[]
  private readonly connections: Connection[] = []
  private readonly idle: Connection[] = []
  private readonly due: number[] = []
  private dueFrom = 0
  private next = 0
  private nextDueMs = 0
  private startMs = 0
  private measureMs = 0
  private endMs = 0
  private readonly latencies = new Histogram()
  private readonly byStatus: Record<string, number> = {}
  private readonly slices: { atMs: number; good: number; answers: number }[] = []
  private answers = 0
  private good = 0
  private failures = 0

  constructor(plan: LoadPlan) {
    const { host } = new URL(plan.url)
    this.plan = plan
    this.timeoutMs = plan.timeoutMs ?? 10_000
    this.sliceMs = plan.sliceMs ?? 250
    this.composers = plan.requests.map(request => composer(request, host))
  }

  async run(onMeasure: () => void): Promise<LoadReport> {
    const { hostname, port } = new URL(this.plan.url)
    const { connections, warmupMs, durationMs } = this.plan
    this.startMs = performance.now()
    this.nextDueMs = this.startMs
    this.measureMs = this.startMs + warmupMs
    this.endMs = this.measureMs + durationMs
    const events = {
      ready: (connection: Connection) => { this.free(connection) },
      answered: (connection: Connection, status: number | null) => { this.answered(connection, status) },
      closed: (connection: Connection) => { setTimeout(() => { if (performance.now() < this.endMs) connection.open() }, reconnectMs) },
    }
    for (let i = 0; i < connections; i++) this.connections.push(new Connection({ host: hostname, port: Number(port) }, events))
    for (const connection of this.connections) connection.open()
    const ticking = this.plan.ratePerSecond === undefined ? undefined : setInterval(() => { this.tick() }, 1)
    const watching = setInterval(() => { this.giveUpLate() }, 20)
    await new Promise(resolve => setTimeout(resolve, warmupMs))
    onMeasure()
    await new Promise(resolve => setTimeout(resolve, Math.max(0, this.endMs - performance.now())))
    clearInterval(ticking)
    clearInterval(watching)
    for (const connection of this.connections) connection.stop()
    return this.report()
  }

  private free(connection: Connection): void {
    if (this.plan.ratePerSecond === undefined) this.send(connection, performance.now())
    else if (this.dueFrom < this.due.length) this.send(connection, this.due[this.dueFrom++]!)
    else this.idle.push(connection)
  }

  private send(connection: Connection, intendedMs: number): void {
    connection.intendedMs = intendedMs
    connection.send(this.composers[this.next = (this.next + 1) % this.composers.length]!())
  }

  private tick(): void {
    const nowMs = performance.now()
    const gapMs = 1_000 / this.plan.ratePerSecond!
    while (this.nextDueMs <= nowMs) {
      this.due.push(this.nextDueMs)
      this.nextDueMs += this.plan.arrivals === 'poisson' ? exponential(Math.random, gapMs) : gapMs
    }
    while (this.dueFrom < this.due.length) {
      const connection = this.idle.pop()
      if (!connection) break
      // One that broke while idle comes back by itself, and may be listed twice.
      if (connection.isOpen && !connection.waiting) this.send(connection, this.due[this.dueFrom++]!)
    }
    if (this.dueFrom > 10_000) { this.due.splice(0, this.dueFrom); this.dueFrom = 0 }
  }

  /** A client gives up as well: after the timeout a request is a failure, sent or not. */
  private giveUpLate(): void {
    const limitMs = performance.now() - this.timeoutMs
    while (this.dueFrom < this.due.length && this.due[this.dueFrom]! < limitMs) {
      this.dueFrom++
      if (this.isMeasured()) this.failures++
    }
    for (const connection of this.connections) if (connection.waiting && connection.intendedMs < limitMs) connection.abandon()
  }

  private isMeasured(nowMs = performance.now()): boolean { return nowMs >= this.measureMs && nowMs < this.endMs }

  private answered(connection: Connection, status: number | null): void {
    const nowMs = performance.now()
    if (this.isMeasured(nowMs)) this.count(status, nowMs - connection.intendedMs, nowMs)
    if (connection.isOpen && status !== null) this.free(connection)
  }

  private count(status: number | null, latencyMs: number, nowMs: number): void {
    if (status === null) { this.failures++; return }
    const at = Math.floor((nowMs - this.measureMs) / this.sliceMs)
    while (this.slices.length <= at) this.slices.push({ atMs: this.slices.length * this.sliceMs, good: 0, answers: 0 })
    const slice = this.slices[at]!
    this.answers++
    slice.answers++
    this.byStatus[status] = (this.byStatus[status] ?? 0) + 1
    if (status < 200 || status > 299 || latencyMs > this.timeoutMs) return
    this.good++
    slice.good++
    this.latencies.record(latencyMs)
  }

  private report(): LoadReport {
    const seconds = this.plan.durationMs / 1_000
    return {
      seconds, answers: this.answers, requestsPerSecond: this.answers / seconds, goodPerSecond: this.good / seconds,
      byStatus: this.byStatus, failures: this.failures, slices: this.slices,
      p50Ms: this.latencies.percentileMs(50), p99Ms: this.latencies.percentileMs(99), maxMs: this.latencies.maxMs,
    }
  }
}

process.once('message', (plan: LoadPlan) => {
  void new Run(plan).run(() => process.send!('measuring')).then(report => {
    process.send!(report, () => process.exit(0))
  })
})
