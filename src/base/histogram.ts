/**
 * A histogram of durations in seconds, kept twice: in bounds that people write (the
 * preferred numbers R10, a factor of about 1.26), for Prometheus and for thresholds; and in
 * sixteen exponential buckets per power of two, the native histogram of schema 4, for
 * quantiles. To record allocates nothing.
 */

/** 0.25 ms to 63 s. */
export const histogramBounds: readonly number[] = [-4, -3, -2, -1, 0, 1].flatMap(power =>
  [1, 1.25, 1.6, 2, 2.5, 3.15, 4, 5, 6.3, 8].map(step => Number(`${step}e${power}`))).filter(bound => bound >= 0.000_25 && bound <= 63)

export const bucketsPerOctave = 16
/** Native buckets from 1 µs to 256 s; what lies outside is in the first or the last. */
const indexMin = -20 * bucketsPerOctave
const indexMax = 8 * bucketsPerOctave

/** Index and count, in order of the index: bucket i holds what is at most 2^(i/16), and more than the one before. */
export type NativeBuckets = readonly (readonly [index: number, count: number])[]

export interface HistogramState {
  readonly count: number
  readonly sum: number
  readonly max: number
  /** Counts by the index of their bound, without those that are 0; one beyond the last bound is +Inf. */
  readonly bounded: NativeBuckets
  readonly native: NativeBuckets
}

export class Histogram {
  #count = 0
  #sum = 0
  #max = 0
  readonly #bounded = new Float64Array(histogramBounds.length + 1)
  readonly #native = new Float64Array(indexMax - indexMin + 1)

  observe(seconds: number): void {
    this.#count++
    if (seconds > 0) this.#sum += seconds
    if (seconds > this.#max) this.#max = seconds
    this.#bounded[boundOf(seconds)]!++
    this.#native[nativeIndexOf(seconds) - indexMin]!++
  }

  get count(): number { return this.#count }

  read(): HistogramState {
    return { count: this.#count, sum: this.#sum, max: this.#max, bounded: filled(this.#bounded, 0), native: filled(this.#native, indexMin) }
  }
}

/** The first bound that is not below. */
function boundOf(seconds: number): number {
  let low = 0
  let high = histogramBounds.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (histogramBounds[middle]! < seconds) low = middle + 1
    else high = middle
  }
  return low
}

const nativeIndexOf = (seconds: number): number =>
  seconds > 0 ? Math.min(indexMax, Math.max(indexMin, Math.ceil(Math.log2(seconds) * bucketsPerOctave))) : indexMin

function filled(counts: Float64Array, offset: number): [number, number][] {
  const found: [number, number][] = []
  for (let at = 0; at < counts.length; at++) if (counts[at]! > 0) found.push([at + offset, counts[at]!])
  return found
}

/** The value below which this share (0 to 1) of what was recorded lies, within 2.2 %; null when there is nothing. */
export function quantileOf(buckets: NativeBuckets, share: number): number | null {
  const total = buckets.reduce((sum, [, count]) => sum + count, 0)
  if (total <= 0) return null
  let rank = share * total
  for (const [index, count] of buckets) {
    // Within a bucket evenly spread on the scale that the buckets divide.
    if (count >= rank) return 2 ** ((index - 1 + Math.max(0, rank) / count) / bucketsPerOctave)
    rank -= count
  }
  return 2 ** (buckets.at(-1)![0] / bucketsPerOctave)
}

/** Several as one. */
export function mergeBuckets(all: readonly NativeBuckets[]): NativeBuckets {
  const counts = new Map<number, number>()
  for (const buckets of all) for (const [index, count] of buckets) counts.set(index, (counts.get(index) ?? 0) + count)
  return [...counts].sort(([one], [other]) => one - other)
}
