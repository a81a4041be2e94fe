/**
 * What an application does when three times its capacity arrives, and how soon it is itself
 * again: peak in closed loop; then in one run open loop at half the peak, at 3 times, and at
 * half again; then the peak once more, since a machine that others use as well changes its speed
 * meanwhile. Clients give up after their deadline and try again at once; who is refused does not.
 *
 *   node bench/overload.ts <url> [path]
 */
import { cpuMicroseconds } from './cpu-time.ts'
import { runLoad } from './load/load.ts'
import { recoveryMs, stretch } from './load/stretch.ts'
import type { Stretch } from './load/stretch.ts'
import type { LoadRequest } from './load/load.ts'

export interface OverloadOptions {
  readonly url: string
  readonly requests: readonly LoadRequest[]
  readonly peakMs?: number
  readonly overloadMs?: number
  /** At half the peak, before and after. */
  readonly calmMs?: number
  readonly attempts?: number
  /** Of the server, whose descendants belong to it: its processor time is counted. */
  readonly pid?: number
  /** The only one that the generator uses, so that it takes nothing from a server that is kept to others. */
  readonly processor?: number | undefined
}

/** What it can do, asked by no more than it can serve. */
export interface Peak {
  readonly goodPerSecond: number
  /** An answer later than this is no good to anybody. */
  readonly deadlineMs: number
  /** Anything but 2xx is a fault here. */
  readonly byStatus: Readonly<Record<string, number>>
  /** Of the server, for each good answer; null where nothing tells. Printed for machines that others use as well. */
  readonly cpuMicroseconds: number | null
  readonly acknowledged: readonly number[]
  readonly refused: readonly number[]
}

export interface OverloadReport {
  readonly calmPerSecond: number
  readonly offeredPerSecond: number
  readonly before: Stretch
  readonly during: Stretch
  readonly after: Stretch
  /** As of the peak. */
  readonly cpuMicroseconds: number | null
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
/** As a proxy has: what finds none free waits there. */
const connectionsMax = 512
const sliceMs = 250
/** As a person is patient; on a slow machine, as much slower as that is. */
const deadlineMsMin = 1_000
const deadlineOfPeak = 10
/** Until every connection is open; and until the server is full. */
const openMs = 3_000
const fillMs = 1_000

export async function measurePeak(options: OverloadOptions): Promise<Peak> {
  const { url, requests, processor, peakMs = 4_000 } = options
  const used = usedBy(options.pid)
  let from: number | null = null
  const run = await runLoad({ url, requests, processor, connections: peakConnections, warmupMs: 1_000, durationMs: peakMs, onMeasure: () => { from = used() } })
  const { goodPerSecond, byStatus, acknowledged, refused } = run
  return {
    goodPerSecond, byStatus, acknowledged, refused, deadlineMs: Math.max(deadlineMsMin, deadlineOfPeak * run.p50Ms),
    cpuMicroseconds: perGood(from, used(), goodPerSecond * run.seconds),
  }
}

export async function overload(options: OverloadOptions, peak: Peak): Promise<OverloadReport> {
  const { url, requests, processor, overloadMs = 10_000, calmMs = 6_000 } = options
  const used = usedBy(options.pid)
  const marks: (number | null)[] = []
  const [offered, calm] = [peak.goodPerSecond * overloadFactor, peak.goodPerSecond * calmFactor]
  // One run, so that nothing is let up between its parts.
  const startMs = openMs + calmMs
  const run = await runLoad({
    url, requests, processor, sliceMs, timeoutMs: peak.deadlineMs, arrivals: 'poisson', attempts: options.attempts ?? 3, warmupMs: openMs, durationMs: 2 * calmMs + overloadMs,
    connections: Math.min(connectionsMax, Math.ceil(offered * peak.deadlineMs / 1_000)),
    onMeasure: () => { for (const atMs of [calmMs + fillMs, calmMs + overloadMs]) setTimeout(() => marks.push(used()), atMs) },
    ratePerSecond: [{ atMs: 0, ratePerSecond: calm }, { atMs: startMs, ratePerSecond: offered }, { atMs: startMs + overloadMs, ratePerSecond: calm }],
  })
  const slicesOf = (fromMs: number, toMs: number) => run.slices.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  const before = stretch(slicesOf(0, calmMs), sliceMs)
  const during = stretch(slicesOf(calmMs + fillMs, calmMs + overloadMs), sliceMs)
  const later = slicesOf(calmMs + overloadMs, 2 * calmMs + overloadMs)
  return {
    calmPerSecond: calm, offeredPerSecond: offered, before, during,
    after: stretch(later.slice(later.length >> 1), sliceMs),
    cpuMicroseconds: perGood(marks[0], marks[1], during.goodPerSecond * (overloadMs - fillMs) / 1_000),
    recoveryMs: recoveryMs(later, before, sliceMs),
    acknowledged: run.acknowledged, refused: run.refused, generatorLoad: run.generatorLoad,
  }
}

const usedBy = (pid: number | undefined) => (): number | null => pid === undefined ? null : cpuMicroseconds(pid)

const perGood = (from: number | null | undefined, to: number | null | undefined, good: number): number | null =>
  from == null || to == null ? null : (to - from) / good

/**
 * Goodput under overload as a part of the peaks around it: of rounds of overload, and of the one more
 * peaks before, between and after them. A ratio of sums, so that a moment in which the machine was slow
 * weighs no more than others.
 */
export function goodputRatio(peaks: readonly Peak[], reports: readonly OverloadReport[]): number {
  const around = reports.map((_, round) => (peaks[round]!.goodPerSecond + peaks[round + 1]!.goodPerSecond) / 2)
  return sum(reports.map(one => one.during.goodPerSecond)) / sum(around)
}

const sum = (values: readonly number[]): number => values.reduce((total, one) => total + one, 0)

export const peakText = ({ goodPerSecond, deadlineMs, byStatus, cpuMicroseconds }: Peak): string =>
  `peak ${Math.round(goodPerSecond)}/s, deadline ${Math.round(deadlineMs)} ms ${JSON.stringify(byStatus)}${cpuText(cpuMicroseconds)}`

export function overloadText(report: OverloadReport): string {
  const line = (name: string, offeredPerSecond: number, { goodPerSecond, refusedPerSecond, failuresPerSecond, p50Ms, p99Ms }: Stretch) =>
    `${name} ${Math.round(offeredPerSecond)}/s offered: ${Math.round(goodPerSecond)} good, ${Math.round(refusedPerSecond)} refused, ${Math.round(failuresPerSecond)} too late; p50 ${Math.round(p50Ms)} ms, p99 ${Math.round(p99Ms)} ms`
  return [
    line('before', report.calmPerSecond, report.before), line('overload', report.offeredPerSecond, report.during) + cpuText(report.cpuMicroseconds), line('after', report.calmPerSecond, report.after),
    `recovered after ${report.recoveryMs ?? 'more than the time given'} ms, generator ${(100 * report.generatorLoad).toFixed(0)} % busy${report.generatorLoad > 0.9 ? ': IT IS THE LIMIT' : ''}`,
  ].join('\n')
}

const cpuText = (microseconds: number | null): string => microseconds === null ? '' : `, ${Math.round(microseconds)} us of processor time for each good answer`

if (import.meta.main) {
  const [url, path = '/api/articles'] = process.argv.slice(2)
  if (!url) throw new Error('usage: node bench/overload.ts <url> [path]')
  const options: OverloadOptions = { url, requests: [{ method: 'GET', path }] }
  const peak = await measurePeak(options)
  const report = await overload(options, peak)
  const peakAfter = await measurePeak(options)
  const ratio = goodputRatio([peak, peakAfter], [report])
  process.stdout.write(`${peakText(peak)}\n${overloadText(report)}\n${peakText(peakAfter)}\ngoodput ${(100 * ratio).toFixed(0)} % of the peaks around it\n`)
}
