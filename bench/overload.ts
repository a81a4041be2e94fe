/**
 * What an application does when three times its capacity arrives, and how soon it is itself
 * again: peak in closed loop; then in one run open loop at half the peak, at 3 times, and at
 * half again. Clients give up after their deadline and try again at once; who is refused does not.
 *
 *   node bench/overload.ts <url> [path]
 */
import { runLoad } from './load/load.ts'
import type { LoadReport, LoadRequest, LoadSlice } from './load/load.ts'

export interface OverloadOptions {
  readonly url: string
  readonly requests: readonly LoadRequest[]
  readonly peakMs?: number
  readonly overloadMs?: number
  /** At half the peak, before and after. */
  readonly calmMs?: number
  readonly attempts?: number
}

export interface Stretch {
  readonly offeredPerSecond: number
  readonly goodPerSecond: number
  readonly refusedPerSecond: number
  /** Not answered in time, each attempt. */
  readonly failuresPerSecond: number
  /** Of the good answers: medians over slices. */
  readonly p50Ms: number
  readonly p99Ms: number
}

export interface OverloadReport {
  readonly peakPerSecond: number
  /** An answer later than this is no good to anybody. */
  readonly deadlineMs: number
  /** Of the peak: anything but 2xx is a fault there. */
  readonly peakByStatus: Readonly<Record<string, number>>
  readonly before: Stretch
  readonly during: Stretch
  readonly after: Stretch
  /** Goodput under overload as a part of the peak. */
  readonly goodputRatio: number
  /** From the end of the overload until goodput and p99 are what they were before it, for a second; null: never. */
  readonly recoveryMs: number | null
  readonly acknowledged: readonly number[]
  readonly refused: readonly number[]
  /** 0 to 1; near 1 the generator was the limit, and the figures are its own. */
  readonly generatorLoad: number
}

const overloadFactor = 3
const calmFactor = 0.5
const peakConnections = 32
const connectionsMax = 2_000
const sliceMs = 250
/** As a person is patient; on a slow machine, as much slower as that is. */
const deadlineMsMin = 1_000
const deadlineOfPeak = 10
/** A slice is as before when this part of what arrives is answered well, and its p99 is within so much of the calm one's. */
const recoveredPart = 0.9
const recoveredP99Factor = 3
const recoveredSlices = 1_000 / sliceMs
/** The server is full when it is measured. */
const settleMs = 1_000

export async function overload(options: OverloadOptions): Promise<OverloadReport> {
  const { url, requests, peakMs = 4_000, overloadMs = 10_000, calmMs = 6_000 } = options
  const peak = await runLoad({ url, requests, connections: peakConnections, warmupMs: 1_000, durationMs: peakMs })
  const [offered, calm] = [peak.goodPerSecond * overloadFactor, peak.goodPerSecond * calmFactor]
  const deadlineMs = Math.max(deadlineMsMin, deadlineOfPeak * peak.p50Ms)
  // One run, so that nothing is let up between its parts.
  const startMs = settleMs + calmMs
  const run = await runLoad({
    url, requests, sliceMs, timeoutMs: deadlineMs, arrivals: 'poisson', attempts: options.attempts ?? 3, warmupMs: settleMs, durationMs: 2 * calmMs + overloadMs,
    connections: Math.min(connectionsMax, Math.ceil(offered * deadlineMs / 1_000)),
    ratePerSecond: [{ atMs: 0, ratePerSecond: calm }, { atMs: startMs, ratePerSecond: offered }, { atMs: startMs + overloadMs, ratePerSecond: calm }],
  })
  const slicesOf = (fromMs: number, toMs: number) => run.slices.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  const before = stretch(slicesOf(0, calmMs), calm)
  const during = stretch(slicesOf(calmMs + settleMs, calmMs + overloadMs), offered)
  const later = slicesOf(calmMs + overloadMs, 2 * calmMs + overloadMs)
  return {
    peakPerSecond: peak.goodPerSecond, deadlineMs, peakByStatus: peak.byStatus, before, during,
    after: stretch(later.slice(later.length >> 1), calm),
    goodputRatio: during.goodPerSecond / peak.goodPerSecond,
    recoveryMs: recoveryMs(later, before),
    ...written([peak, run]), generatorLoad: run.generatorLoad,
  }
}

const written = (reports: readonly LoadReport[]) => ({ acknowledged: reports.flatMap(one => one.acknowledged), refused: reports.flatMap(one => one.refused) })

function stretch(slices: readonly LoadSlice[], offeredPerSecond: number): Stretch {
  const seconds = slices.length * sliceMs / 1_000
  const sum = (of: (slice: LoadSlice) => number) => slices.reduce((total, one) => total + of(one), 0) / seconds
  const median = (of: (slice: LoadSlice) => number) => slices.map(of).sort((one, other) => one - other)[slices.length >> 1] ?? 0
  return {
    offeredPerSecond, goodPerSecond: sum(one => one.good), refusedPerSecond: sum(one => one.answers - one.good), failuresPerSecond: sum(one => one.failures),
    p50Ms: median(one => one.p50Ms), p99Ms: median(one => one.p99Ms),
  }
}

/** The start of the first second of which every slice is as before. */
function recoveryMs(slices: readonly LoadSlice[], before: Stretch): number | null {
  const good = before.goodPerSecond * sliceMs / 1_000 * recoveredPart
  const isGood = (seconds: readonly LoadSlice[]) => seconds.length === recoveredSlices
    && seconds.reduce((sum, one) => sum + one.good, 0) >= good * recoveredSlices && seconds.every(one => one.p99Ms <= recoveredP99Factor * before.p99Ms)
  const at = slices.findIndex((_, index) => isGood(slices.slice(index, index + recoveredSlices)))
  return at < 0 ? null : at * sliceMs
}

export function overloadText(report: OverloadReport): string {
  const line = (name: string, { offeredPerSecond, goodPerSecond, refusedPerSecond, failuresPerSecond, p50Ms, p99Ms }: Stretch) =>
    `${name} ${Math.round(offeredPerSecond)}/s offered: ${Math.round(goodPerSecond)} good, ${Math.round(refusedPerSecond)} refused, ${Math.round(failuresPerSecond)} too late; p50 ${Math.round(p50Ms)} ms, p99 ${Math.round(p99Ms)} ms`
  return [
    `peak ${Math.round(report.peakPerSecond)}/s, deadline ${Math.round(report.deadlineMs)} ms ${JSON.stringify(report.peakByStatus)}`,
    line('before', report.before), line('overload', report.during), line('after', report.after),
    `goodput ${(100 * report.goodputRatio).toFixed(0)} % of the peak, recovered after ${report.recoveryMs ?? 'more than the time given'} ms, generator ${(100 * report.generatorLoad).toFixed(0)} % busy${report.generatorLoad > 0.9 ? ': IT IS THE LIMIT' : ''}`,
  ].join('\n')
}

if (import.meta.main) {
  const [url, path = '/api/articles'] = process.argv.slice(2)
  if (!url) throw new Error('usage: node bench/overload.ts <url> [path]')
  process.stdout.write(`${overloadText(await overload({ url, requests: [{ method: 'GET', path }] }))}\n`)
}
