/**
 * What an application does when three times its capacity arrives, and how soon it is itself
 * again: peak in closed loop; then in one run open loop at half the peak, at 3 times, and at
 * half again. Clients give up after their deadline and try again at once; who is refused does not.
 *
 *   node bench/overload.ts <url> [path]
 */
import { cpuMicroseconds } from './cpu-time.ts'
import { runLoad } from './load/load.ts'
import { recoveryMs, stretch } from './load/stretch.ts'
import type { Stretch } from './load/stretch.ts'
import type { LoadReport, LoadRequest } from './load/load.ts'

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

export interface OverloadReport {
  readonly peakPerSecond: number
  /** An answer later than this is no good to anybody. */
  readonly deadlineMs: number
  /** Of the peak: anything but 2xx is a fault there. */
  readonly peakByStatus: Readonly<Record<string, number>>
  readonly calmPerSecond: number
  readonly offeredPerSecond: number
  readonly before: Stretch
  readonly during: Stretch
  readonly after: Stretch
  /** Goodput under overload as a part of the peak. */
  readonly goodputRatio: number
  /** Of the server, for each good answer, at the peak and under overload; null where nothing tells. Printed for machines that others use as well. */
  readonly cpuMicroseconds: { readonly peak: number; readonly during: number } | null
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

export async function overload(options: OverloadOptions): Promise<OverloadReport> {
  const { url, requests, processor, peakMs = 4_000, overloadMs = 10_000, calmMs = 6_000 } = options
  const used = () => options.pid === undefined ? null : cpuMicroseconds(options.pid)
  const marks: (number | null)[] = []
  const peak = await runLoad({ url, requests, processor, connections: peakConnections, warmupMs: 1_000, durationMs: peakMs, onMeasure: () => marks.push(used()) })
  marks.push(used())
  const [offered, calm] = [peak.goodPerSecond * overloadFactor, peak.goodPerSecond * calmFactor]
  const deadlineMs = Math.max(deadlineMsMin, deadlineOfPeak * peak.p50Ms)
  // One run, so that nothing is let up between its parts.
  const startMs = openMs + calmMs
  const run = await runLoad({
    url, requests, processor, sliceMs, timeoutMs: deadlineMs, arrivals: 'poisson', attempts: options.attempts ?? 3, warmupMs: openMs, durationMs: 2 * calmMs + overloadMs,
    connections: Math.min(connectionsMax, Math.ceil(offered * deadlineMs / 1_000)),
    onMeasure: () => { for (const atMs of [calmMs + fillMs, calmMs + overloadMs]) setTimeout(() => marks.push(used()), atMs) },
    ratePerSecond: [{ atMs: 0, ratePerSecond: calm }, { atMs: startMs, ratePerSecond: offered }, { atMs: startMs + overloadMs, ratePerSecond: calm }],
  })
  const slicesOf = (fromMs: number, toMs: number) => run.slices.filter(({ atMs }) => atMs >= fromMs && atMs < toMs)
  const before = stretch(slicesOf(0, calmMs), sliceMs)
  const during = stretch(slicesOf(calmMs + fillMs, calmMs + overloadMs), sliceMs)
  const later = slicesOf(calmMs + overloadMs, 2 * calmMs + overloadMs)
  return {
    peakPerSecond: peak.goodPerSecond, deadlineMs, peakByStatus: peak.byStatus, calmPerSecond: calm, offeredPerSecond: offered, before, during,
    after: stretch(later.slice(later.length >> 1), sliceMs),
    goodputRatio: during.goodPerSecond / peak.goodPerSecond,
    cpuMicroseconds: cpuPerGood(marks, peak.goodPerSecond * peak.seconds, during.goodPerSecond * (overloadMs - fillMs) / 1_000),
    recoveryMs: recoveryMs(later, before, sliceMs),
    ...written([peak, run]), generatorLoad: run.generatorLoad,
  }
}

/** From the processor time at the start and the end of the peak, and of the overload. */
function cpuPerGood([peakFrom, peakTo, from, to]: readonly (number | null | undefined)[], peakGood: number, good: number): OverloadReport['cpuMicroseconds'] {
  if (peakFrom == null || peakTo == null || from == null || to == null) return null
  return { peak: (peakTo - peakFrom) / peakGood, during: (to - from) / good }
}

const written = (reports: readonly LoadReport[]) => ({ acknowledged: reports.flatMap(one => one.acknowledged), refused: reports.flatMap(one => one.refused) })

export function overloadText(report: OverloadReport): string {
  const line = (name: string, offeredPerSecond: number, { goodPerSecond, refusedPerSecond, failuresPerSecond, p50Ms, p99Ms }: Stretch) =>
    `${name} ${Math.round(offeredPerSecond)}/s offered: ${Math.round(goodPerSecond)} good, ${Math.round(refusedPerSecond)} refused, ${Math.round(failuresPerSecond)} too late; p50 ${Math.round(p50Ms)} ms, p99 ${Math.round(p99Ms)} ms`
  return [
    `peak ${Math.round(report.peakPerSecond)}/s, deadline ${Math.round(report.deadlineMs)} ms ${JSON.stringify(report.peakByStatus)}`,
    line('before', report.calmPerSecond, report.before), line('overload', report.offeredPerSecond, report.during), line('after', report.calmPerSecond, report.after),
    `goodput ${(100 * report.goodputRatio).toFixed(0)} % of the peak, ${cpuText(report)}recovered after ${report.recoveryMs ?? 'more than the time given'} ms, generator ${(100 * report.generatorLoad).toFixed(0)} % busy${report.generatorLoad > 0.9 ? ': IT IS THE LIMIT' : ''}`,
  ].join('\n')
}

const cpuText = ({ cpuMicroseconds }: OverloadReport): string =>
  cpuMicroseconds ? `${Math.round(cpuMicroseconds.during)} us of processor time for each good answer, ${Math.round(cpuMicroseconds.peak)} at the peak, ` : ''

if (import.meta.main) {
  const [url, path = '/api/articles'] = process.argv.slice(2)
  if (!url) throw new Error('usage: node bench/overload.ts <url> [path]')
  process.stdout.write(`${overloadText(await overload({ url, requests: [{ method: 'GET', path }] }))}\n`)
}
