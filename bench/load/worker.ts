/**
 * The load generator's process: gets a plan, runs it, sends the report.
 *
 * Closed loop: a connection sends its next request when the last was answered. Open loop:
 * requests fall due by the clock, wait in a queue while no connection is free, and their
 * latency counts from the moment they were due, so that a slow server cannot hide it.
 */
import { Connection } from '../../src/load/connection.ts'
import { exponential } from '../../src/load/draw.ts'
import { Outcomes } from './outcomes.ts'
import type { Sent } from './outcomes.ts'
import type { LoadPlan, LoadReport, LoadRequest, RateStep } from './plan.ts'

const sequenceMark = '{{sequence}}'
const reconnectMs = 20
let nextSequence = Date.now() % 1e9 * 1_000

interface Composed { readonly bytes: Buffer; readonly sequence: number | null }

/** Makes the bytes of a request; constant ones are made once. */
function composer(request: LoadRequest, host: string): () => Composed {
  const compose = (body: string) => {
    const headers = Object.entries({ host, ...(body === '' ? {} : { 'content-type': 'application/json' }), ...request.headers })
    if (body !== '' || request.method !== 'GET') headers.push(['content-length', String(Buffer.byteLength(body))])
    return Buffer.from(`${request.method} ${request.path} HTTP/1.1\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`)
  }
  const body = request.body ?? ''
  if (body.includes(sequenceMark)) return () => {
    const sequence = nextSequence++
    return { bytes: compose(body.replaceAll(sequenceMark, String(sequence))), sequence }
  }
  const constant = { bytes: compose(body), sequence: null }
  return () => constant
}

interface Due { readonly dueMs: number; readonly attempt: number }

class Run {
  private readonly plan: LoadPlan
  private readonly timeoutMs: number
  private readonly composers: (() => Composed)[]
  private readonly connections: Connection[] = []
  /** What each connection has under way. */
  private readonly sent = new Map<Connection, Sent>()
  private readonly idle: Connection[] = []
  private readonly steps: readonly RateStep[] | null
  private readonly due: Due[] = []
  private dueFrom = 0
  private next = 0
  private nextDueMs = 0
  private startMs = 0
  private readonly outcomes: Outcomes

  constructor(plan: LoadPlan) {
    const { host } = new URL(plan.url)
    const { ratePerSecond } = plan
    this.plan = plan
    this.timeoutMs = plan.timeoutMs ?? 10_000
    this.steps = ratePerSecond === undefined ? null : typeof ratePerSecond === 'number' ? [{ atMs: 0, ratePerSecond }] : ratePerSecond
    this.outcomes = new Outcomes(plan.durationMs, plan.sliceMs ?? 250, this.timeoutMs)
    this.composers = plan.requests.map(request => composer(request, host))
  }

  async run(onMeasure: () => void): Promise<LoadReport> {
    const { hostname, port } = new URL(this.plan.url)
    const { connections, warmupMs, durationMs } = this.plan
    const events = {
      ready: (connection: Connection) => { this.free(connection) },
      answered: (connection: Connection, status: number | null) => { this.answered(connection, status) },
      closed: (connection: Connection) => { setTimeout(() => { if (performance.now() < this.startMs + warmupMs + durationMs) connection.open() }, reconnectMs) },
    }
    for (let i = 0; i < connections; i++) this.connections.push(new Connection({ host: hostname, port: Number(port), counts: true }, events))
    this.startMs = performance.now()
    this.nextDueMs = this.startMs
    this.outcomes.measureFrom(this.startMs + warmupMs)
    for (const connection of this.connections) connection.open()
    const ticking = this.steps ? setInterval(() => { this.tick() }, 1) : undefined
    const watching = setInterval(() => { this.giveUpLate() }, 20)
    await new Promise(resolve => setTimeout(resolve, warmupMs))
    onMeasure()
    const before = performance.eventLoopUtilization()
    await new Promise(resolve => setTimeout(resolve, Math.max(0, this.startMs + warmupMs + durationMs - performance.now())))
    const generatorLoad = performance.eventLoopUtilization(before).utilization
    clearInterval(ticking)
    clearInterval(watching)
    for (const connection of this.connections) connection.stop()
    return { ...this.outcomes.report(), generatorLoad }
  }

  private free(connection: Connection): void {
    if (!this.steps) this.send(connection, { dueMs: performance.now(), attempt: 1 })
    else if (this.dueFrom < this.due.length) this.send(connection, this.due[this.dueFrom++]!)
    else this.idle.push(connection)
  }

  private send(connection: Connection, due: Due): void {
    const { bytes, sequence } = this.composers[this.next = (this.next + 1) % this.composers.length]!()
    this.sent.set(connection, { ...due, sequence })
    connection.send(bytes)
  }

  private tick(): void {
    const nowMs = performance.now()
    while (this.nextDueMs <= nowMs) {
      const elapsedMs = this.nextDueMs - this.startMs
      const gapMs = 1_000 / this.steps!.findLast(step => step.atMs <= elapsedMs)!.ratePerSecond
      this.due.push({ dueMs: this.nextDueMs, attempt: 1 })
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
    const nowMs = performance.now()
    const limitMs = nowMs - this.timeoutMs
    while (this.dueFrom < this.due.length && this.due[this.dueFrom]!.dueMs < limitMs) this.failed(this.due[this.dueFrom++]!, nowMs)
    for (const connection of this.connections) if (connection.waiting && this.sent.get(connection)!.dueMs < limitMs) connection.abandon()
  }

  private failed({ attempt }: Due, nowMs: number): void {
    this.outcomes.failed(nowMs)
    if (this.steps && attempt < (this.plan.attempts ?? 1)) this.due.push({ dueMs: nowMs, attempt: attempt + 1 })
  }

  private answered(connection: Connection, status: number | null): void {
    const nowMs = performance.now()
    if (status === null) return this.failed(this.sent.get(connection)!, nowMs)
    this.outcomes.answered(status, this.sent.get(connection)!, nowMs)
    if (connection.isOpen) this.free(connection)
  }
}

process.once('message', (plan: LoadPlan) => {
  void new Run(plan).run(() => process.send!('measuring')).then(report => {
    process.send!(report, () => process.exit(0))
  })
})
