/** What a load run shows while it runs, and what it found. Plain data. */
import type { Histogram } from './histogram.ts'
import { bucketMs } from './histogram.ts'
import type { StepTally, Tally } from './tally.ts'

/** One second of a run. Rates are per second; latencies are of good answers, from the moment they were meant to be asked for. */
export interface LoadProgress {
  /** Seconds since the load began, at the end of this one. */
  readonly second: number
  /** `draining`: nothing is begun any more, answers are waited for. */
  readonly phase: 'warmup' | 'measuring' | 'draining'
  /** Requests that fell due, and answers that came. */
  readonly offered: number
  readonly answers: number
  readonly good: number
  readonly refused: number
  readonly failed: number
  readonly byCode: Readonly<Record<string, number>>
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly inFlight: number
  readonly users: number
  readonly generators: number
  /** Of the requests that fell due: those that were sent late. */
  readonly lateShare: number
  /** Of the busiest generator: how busy its event loop was, and its processor time, as parts of one core. */
  readonly utilisation: number
  readonly cpu: number
}

export interface StepReport {
  readonly step: string
  readonly answers: number
  readonly good: number
  readonly refused: number
  readonly failed: number
  readonly byCode: Readonly<Record<string, number>>
  readonly meanMs: number
  readonly p50Ms: number
  readonly p90Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
  /** Middle of the bucket in milliseconds, and how many: within 0.28 % of what was measured. */
  readonly histogram: readonly (readonly [ms: number, count: number])[]
}

export interface GeneratorReport {
  readonly processes: number
  readonly lateMs: number
  readonly lateShare: number
  readonly latenessP99Ms: number
  readonly latenessMaxMs: number
  /** Of the busiest process in its busiest second. */
  readonly utilisationMax: number
  readonly cpuMax: number
  /** Share of requests that waited for a connection to become free: their wait is in their latency. */
  readonly waitedShare: number
  /** True when the generator, not the server, was the limit: then the latencies are its own. */
  readonly isBound: boolean
  readonly why: string | null
}

export interface LoadReport {
  readonly at: string
  readonly url: string
  /** How the load was asked for, for people. */
  readonly load: string
  /** Measured, without warm-up and draining. */
  readonly seconds: number
  readonly isAborted: boolean
  readonly offeredPerSecond: number
  readonly answersPerSecond: number
  readonly goodPerSecond: number
  readonly journeys: { readonly started: number; readonly finished: number; readonly gaveUp: number }
  /** Writes that were acknowledged, and the ledger that has them. */
  readonly acknowledged: number
  readonly ledger: string | null
  readonly total: StepReport
  readonly steps: readonly StepReport[]
  readonly generator: GeneratorReport
  readonly timeline: readonly LoadProgress[]
}

/** At this part of requests sent late the run tells of the generator. */
const boundLateShare = 0.01
/** A loop as busy as this has no time left to be on time. */
const boundUtilisation = 0.95

export function stepReportOf(step: string, { good, refused, failed, byCode, latency }: StepTally): StepReport {
  return {
    step, answers: good + refused + failed, good, refused, failed, byCode: { ...byCode }, meanMs: latency.meanMs, ...percentilesOf(latency), p999Ms: latency.percentileMs(99.9),
    histogram: latency.sparse().buckets.map(([index, count]) => [bucketMs(index), count]),
  }
}

export function percentilesOf(latency: Histogram): { p50Ms: number; p90Ms: number; p99Ms: number; maxMs: number } {
  return { p50Ms: latency.percentileMs(50), p90Ms: latency.percentileMs(90), p99Ms: latency.percentileMs(99), maxMs: latency.maxMs }
}

export interface GeneratorFacts { readonly processes: number; readonly lateMs: number; readonly waited: number; readonly timeline: readonly LoadProgress[] }

export function generatorReportOf(tally: Tally, { processes, lateMs, waited, timeline }: GeneratorFacts): GeneratorReport {
  const measured = timeline.filter(({ phase }) => phase === 'measuring')
  const most = (pick: (one: LoadProgress) => number) => measured.reduce((so, one) => Math.max(so, pick(one)), 0)
  const lateShare = tally.offered === 0 ? 0 : tally.late / tally.offered
  const busy = measured.filter(({ utilisation }) => utilisation > boundUtilisation).length
  const why = lateShare > boundLateShare ? `${percent(lateShare)} of the requests were sent more than ${lateMs} ms after they were due`
    : busy * 2 > measured.length ? `a generator's event loop was more than ${percent(boundUtilisation)} busy in ${busy} of ${measured.length} seconds` : null
  return {
    processes, lateMs, lateShare, latenessP99Ms: tally.lateness.percentileMs(99), latenessMaxMs: tally.lateness.maxMs,
    utilisationMax: most(one => one.utilisation), cpuMax: most(one => one.cpu), waitedShare: tally.offered === 0 ? 0 : waited / tally.offered, isBound: why !== null, why,
  }
}

/** True when one second says that another generator is needed. */
export const isStrained = ({ lateShare, utilisation }: LoadProgress): boolean => utilisation > 0.85 || lateShare > boundLateShare && utilisation > 0.5

export const percent = (part: number): string => `${(part * 100).toFixed(part < 0.1 ? 1 : 0)} %`
