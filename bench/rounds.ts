/** Interleaved rounds: both sides take turns, so that the machine's moods reach them alike. */
import { cpuMicroseconds } from './cpu-time.ts'
import { runLoad } from './load/load.ts'
import type { LoadReport, LoadRequest } from './load/load.ts'

export interface Contender {
  readonly name: string
  readonly url: string
  readonly pid: number
  readonly requests: readonly LoadRequest[]
  /** Where it needs others than the rest. */
  readonly connections?: number
}

export interface Figures {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Null where the system does not tell. */
  readonly appMicroseconds: number | null
  readonly postgresMicroseconds: number | null
  readonly byStatus: Readonly<Record<string, number>>
  readonly failures: number
}

export interface RoundOptions {
  readonly rounds: number
  readonly durationMs: number
  readonly warmupMs: number
  readonly connections: number
  /** Of the first round, which does not count. Default durationMs. */
  readonly firstMs?: number
  /** Null when the contenders use none. */
  readonly postgresPid: number | null
}

/** The medians of each contender's rounds, in the contenders' order. */
export async function runRounds(contenders: readonly Contender[], options: RoundOptions): Promise<Figures[]> {
  const measured: Figures[][] = contenders.map(() => [])
  // The first round only warms code, connections and caches.
  for (let round = -1; round < options.rounds; round++) {
    for (const [index, contender] of contenders.entries()) {
      const figures = await measure(contender, round < 0 ? { ...options, durationMs: options.firstMs ?? options.durationMs } : options)
      if (round >= 0) measured[index]!.push(figures)
    }
  }
  return measured.map(medians)
}

async function measure(contender: Contender, options: RoundOptions): Promise<Figures> {
  const app = () => cpuMicroseconds(contender.pid, options.postgresPid ?? undefined)
  const postgres = () => options.postgresPid === null ? null : cpuMicroseconds(options.postgresPid)
  let appFrom: number | null = null
  let postgresFrom: number | null = null
  const report: LoadReport = await runLoad({
    url: contender.url, requests: contender.requests, connections: contender.connections ?? options.connections,
    durationMs: options.durationMs, warmupMs: options.warmupMs,
    onMeasure: () => { appFrom = app(); postgresFrom = postgres() },
  })
  const perRequest = (from: number | null, to: number | null) => from === null || to === null || report.answers === 0 ? null : (to - from) / report.answers
  return {
    requestsPerSecond: report.goodPerSecond, p50Ms: report.p50Ms, p99Ms: report.p99Ms,
    appMicroseconds: perRequest(appFrom, app()), postgresMicroseconds: perRequest(postgresFrom, postgres()),
    byStatus: report.byStatus, failures: report.failures,
  }
}

function medians(rounds: readonly Figures[]): Figures {
  const of = (pick: (figures: Figures) => number) => median(rounds.map(pick))
  const ofOptional = (pick: (figures: Figures) => number | null) => rounds.some(one => pick(one) === null) ? null : of(one => pick(one)!)
  const byStatus: Record<string, number> = {}
  for (const round of rounds) for (const [status, count] of Object.entries(round.byStatus)) byStatus[status] = (byStatus[status] ?? 0) + count
  return {
    requestsPerSecond: of(one => one.requestsPerSecond), p50Ms: of(one => one.p50Ms), p99Ms: of(one => one.p99Ms),
    appMicroseconds: ofOptional(one => one.appMicroseconds), postgresMicroseconds: ofOptional(one => one.postgresMicroseconds),
    byStatus, failures: rounds.reduce((sum, one) => sum + one.failures, 0),
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
