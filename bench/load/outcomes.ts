/** What became of the requests of a run: in all, and along its time line. */
import { Histogram } from '../../src/load/histogram.ts'
import type { LoadReport } from './plan.ts'

/** A request under way. */
export interface Sent {
  readonly dueMs: number
  readonly attempt: number
  readonly sequence: number | null
}

interface Slice { readonly atMs: number; readonly latencies: Histogram; good: number; answers: number; failures: number }

export class Outcomes {
  private readonly durationMs: number
  private readonly sliceMs: number
  private readonly timeoutMs: number
  private measureMs = 0
  private readonly latencies = new Histogram()
  private readonly byStatus: Record<string, number> = {}
  private readonly slices: Slice[] = []
  private readonly acknowledged: number[] = []
  private readonly refused: number[] = []
  private answers = 0
  private good = 0
  private failures = 0

  constructor(durationMs: number, sliceMs: number, timeoutMs: number) {
    this.durationMs = durationMs
    this.sliceMs = sliceMs
    this.timeoutMs = timeoutMs
  }

  measureFrom(atMs: number): void { this.measureMs = atMs }

  failed(nowMs: number): void {
    const slice = this.sliceAt(nowMs)
    if (!slice) return
    this.failures++
    slice.failures++
  }

  answered(status: number, { dueMs, sequence }: Sent, nowMs: number): void {
    const isGood = status >= 200 && status <= 299
    // Also outside the measurement: what was acknowledged counts whenever it was.
    if (sequence !== null && isGood) this.acknowledged.push(sequence)
    if (sequence !== null && status === 503) this.refused.push(sequence)
    const slice = this.sliceAt(nowMs)
    if (!slice) return
    this.answers++
    slice.answers++
    this.byStatus[status] = (this.byStatus[status] ?? 0) + 1
    const latencyMs = nowMs - dueMs
    if (!isGood || latencyMs > this.timeoutMs) return
    this.good++
    slice.good++
    this.latencies.record(latencyMs)
    slice.latencies.record(latencyMs)
  }

  private sliceAt(nowMs: number): Slice | null {
    const elapsedMs = nowMs - this.measureMs
    if (elapsedMs < 0 || elapsedMs >= this.durationMs) return null
    const at = Math.floor(elapsedMs / this.sliceMs)
    while (this.slices.length <= at) this.slices.push({ atMs: this.slices.length * this.sliceMs, latencies: new Histogram(), good: 0, answers: 0, failures: 0 })
    return this.slices[at]!
  }

  report(): Omit<LoadReport, 'generatorLoad'> {
    const seconds = this.durationMs / 1_000
    return {
      seconds, answers: this.answers, requestsPerSecond: this.answers / seconds, goodPerSecond: this.good / seconds,
      byStatus: this.byStatus, failures: this.failures, acknowledged: this.acknowledged, refused: this.refused,
      slices: this.slices.map(({ latencies, ...slice }) => ({ ...slice, p50Ms: latencies.percentileMs(50), p99Ms: latencies.percentileMs(99) })),
      p50Ms: this.latencies.percentileMs(50), p99Ms: this.latencies.percentileMs(99), maxMs: this.latencies.maxMs,
    }
  }
}
