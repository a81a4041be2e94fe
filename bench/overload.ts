/**
 * What an application does when three times its capacity arrives, and how soon it is itself
 * again: peak in closed loop, then open loop at 3×, then at 0.6×.
 */
import { runLoad } from './load/load.ts'
import type { LoadRequest, LoadSlice } from './load/load.ts'

export interface OverloadOptions {
  readonly url: string
  readonly request: LoadRequest | readonly LoadRequest[]
  /** Measured when absent. */
  readonly capacityPerSecond?: number
  readonly connections?: number
  readonly peakMs?: number
  readonly overloadMs?: number
  readonly afterMs?: number
  /** An answer later than this is no good to anybody. */
  readonly timeoutMs?: number
}

export interface OverloadReport {
  readonly peakPerSecond: number
  readonly overloadGoodPerSecond: number
  /** Goodput under overload as a part of the peak. */
  readonly goodputRatio: number
  readonly overloadP99Ms: number
  readonly overloadByStatus: Readonly<Record<string, number>>
  readonly overloadFailures: number
  /** From the end of the overload until goodput stays at what arrives; null when it never does. */
  readonly recoveryMs: number | null
}

const overloadFactor = 3
const afterFactor = 0.6
/** Poisson arrivals swing: at this part of the rate a slice counts as recovered. */
const recoveredPart = 0.8
const sliceMs = 250

export async function overload(options: OverloadOptions): Promise<OverloadReport> {
  const { url, timeoutMs = 1_000, connections = 256 } = options
  const requests: readonly LoadRequest[] = Array.isArray(options.request) ? options.request : [options.request as LoadRequest]
  const common = { url, requests, timeoutMs, sliceMs }
  const peakPerSecond = options.capacityPerSecond
    ?? (await runLoad({ ...common, connections: 32, warmupMs: 1_000, durationMs: options.peakMs ?? 3_000 })).goodPerSecond
  const open = { ...common, connections, warmupMs: 0, arrivals: 'poisson' as const }
  const during = await runLoad({ ...open, ratePerSecond: peakPerSecond * overloadFactor, durationMs: options.overloadMs ?? 6_000 })
  const after = await runLoad({ ...open, ratePerSecond: peakPerSecond * afterFactor, durationMs: options.afterMs ?? 5_000 })
  return {
    peakPerSecond, overloadGoodPerSecond: during.goodPerSecond, goodputRatio: during.goodPerSecond / peakPerSecond,
    overloadP99Ms: during.p99Ms, overloadByStatus: during.byStatus, overloadFailures: during.failures,
    recoveryMs: recoveryMs(after.slices, peakPerSecond * afterFactor * sliceMs / 1_000),
  }
}

/** The start of the last unbroken line of good slices. The very last slice may be cut short. */
function recoveryMs(slices: readonly LoadSlice[], arrivalsPerSlice: number): number | null {
  const whole = slices.slice(0, -1)
  const lastBad = whole.findLastIndex(slice => slice.good < arrivalsPerSlice * recoveredPart)
  return lastBad === whole.length - 1 ? null : whole[lastBad + 1]!.atMs
}

if (import.meta.main) {
  const [url, path = '/api/articles'] = process.argv.slice(2)
  if (!url) throw new Error('usage: node bench/overload.ts <url> [path]')
  process.stdout.write(`${JSON.stringify(await overload({ url, request: { method: 'GET', path } }), null, 2)}\n`)
}
