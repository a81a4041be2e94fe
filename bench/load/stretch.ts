/** A stretch of a run's time line, and when a later one is as it was again. */
import type { LoadSlice } from './plan.ts'

export interface Stretch {
  readonly goodPerSecond: number
  readonly refusedPerSecond: number
  /** Not answered in time, each attempt. */
  readonly failuresPerSecond: number
  /** Of the good answers: medians over slices. */
  readonly p50Ms: number
  readonly p99Ms: number
}

/** A second is as before when this part of the goodput is there, and no p99 beyond so many times the median one. */
const recoveredPart = 0.9
const recoveredP99Factor = 3

export function stretch(slices: readonly LoadSlice[], sliceMs: number): Stretch {
  const seconds = slices.length * sliceMs / 1_000
  const sum = (of: (slice: LoadSlice) => number) => slices.reduce((total, one) => total + of(one), 0) / seconds
  const median = (of: (slice: LoadSlice) => number) => slices.map(of).sort((one, other) => one - other)[slices.length >> 1] ?? 0
  return {
    goodPerSecond: sum(one => one.good), refusedPerSecond: sum(one => one.answers - one.good), failuresPerSecond: sum(one => one.failures),
    p50Ms: median(one => one.p50Ms), p99Ms: median(one => one.p99Ms),
  }
}

/** From the first of these slices to the first second that is as it was before; null when there is none. */
export function recoveryMs(slices: readonly LoadSlice[], before: Stretch, sliceMs: number): number | null {
  const count = 1_000 / sliceMs
  const isAsBefore = (second: readonly LoadSlice[]) => second.length === count
    && stretch(second, sliceMs).goodPerSecond >= recoveredPart * before.goodPerSecond && second.every(one => one.p99Ms <= recoveredP99Factor * before.p99Ms)
  const at = slices.findIndex((_, index) => isAsBefore(slices.slice(index, index + count)))
  return at < 0 ? null : at * sliceMs
}
