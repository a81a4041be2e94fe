/** Counts what becomes of requests, by step: of one generator and second, and sums of many. */
import { Histogram } from './histogram.ts'
import type { SparseHistogram } from './histogram.ts'

/** Good: as expected. Refused: 429 or 503, the server's way of saying not now. Failed: everything else, and what never came. */
export type Outcome = 'good' | 'refused' | 'failed'

export interface StepDelta {
  readonly good: number
  readonly refused: number
  readonly failed: number
  /** By status, or `timeout` and `broken`. */
  readonly byCode: Readonly<Record<string, number>>
  /** Of the good answers, from the moment they were meant to be asked for. */
  readonly latency: SparseHistogram
}

/** What one generator has to tell of one second. */
export interface TallyDelta {
  /** Requests that fell due. */
  readonly offered: number
  readonly late: number
  readonly lateness: SparseHistogram
  readonly steps: Readonly<Record<string, StepDelta>>
  readonly started: number
  readonly finished: number
  readonly gaveUp: number
  readonly acknowledged: number
}

export class StepTally {
  good = 0
  refused = 0
  failed = 0
  readonly byCode: Record<string, number> = {}
  readonly latency = new Histogram()

  count(outcome: Outcome, code: string, latencyMs: number): void {
    this[outcome]++
    this.byCode[code] = (this.byCode[code] ?? 0) + 1
    if (outcome === 'good') this.latency.record(latencyMs)
  }

  add(delta: StepDelta): void {
    this.good += delta.good
    this.refused += delta.refused
    this.failed += delta.failed
    for (const [code, count] of Object.entries(delta.byCode)) this.byCode[code] = (this.byCode[code] ?? 0) + count
    this.latency.add(delta.latency)
  }

  delta(): StepDelta {
    const { good, refused, failed, byCode, latency } = this
    return { good, refused, failed, byCode, latency: latency.sparse() }
  }
}

export class Tally {
  offered = 0
  late = 0
  started = 0
  finished = 0
  gaveUp = 0
  acknowledged = 0
  readonly lateness = new Histogram()
  readonly steps = new Map<string, StepTally>()

  step(name: string): StepTally {
    const known = this.steps.get(name)
    if (known) return known
    const made = new StepTally()
    this.steps.set(name, made)
    return made
  }

  add(delta: TallyDelta): void {
    this.offered += delta.offered
    this.late += delta.late
    this.started += delta.started
    this.finished += delta.finished
    this.gaveUp += delta.gaveUp
    this.acknowledged += delta.acknowledged
    this.lateness.add(delta.lateness)
    for (const [name, step] of Object.entries(delta.steps)) this.step(name).add(step)
  }

  delta(): TallyDelta {
    const { offered, late, started, finished, gaveUp, acknowledged } = this
    return {
      offered, late, started, finished, gaveUp, acknowledged, lateness: this.lateness.sparse(),
      steps: Object.fromEntries([...this.steps].map(([name, step]) => [name, step.delta()])),
    }
  }

  /** All steps together. */
  total(): StepTally {
    const total = new StepTally()
    for (const step of this.steps.values()) total.add(step.delta())
    return total
  }
}
