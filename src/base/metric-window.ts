/** All metrics of a deployment at one moment, and what has happened between two of them. */
import { mergeBuckets, quantileOf } from './histogram.ts'
import type { NativeBuckets } from './histogram.ts'
import type { HistogramSample, NumberSample } from './metric-registry.ts'
import type { MetricName } from './metric-table.ts'

type AnySample = NumberSample | HistogramSample
export type Labels = Readonly<Record<string, string>>

/** All that was told at one moment. */
export class Reading {
  readonly atMs: number
  readonly #samples: ReadonlyMap<string, readonly AnySample[]>

  constructor(atMs: number, families: readonly { readonly name: string; readonly samples: readonly AnySample[] }[]) {
    this.atMs = atMs
    this.#samples = new Map(families.map(one => [one.name, one.samples]))
  }

  of(name: MetricName, labels: Labels = {}): readonly AnySample[] {
    const wanted = Object.entries(labels)
    return (this.#samples.get(name) ?? []).filter(one => wanted.every(([label, value]) => one.labels[label] === value))
  }

  /** Null when nobody tells it. */
  sum(name: MetricName, labels: Labels = {}): number | null {
    const found = this.of(name, labels)
    return found.length === 0 ? null : found.reduce((sum, one) => sum + ('value' in one ? one.value : one.count), 0)
  }

  /** Of a gauge, the smallest that any process tells; null when nobody does. */
  least(name: MetricName): number | null {
    const found = this.of(name).flatMap(one => 'value' in one ? [one.value] : [])
    return found.length === 0 ? null : Math.min(...found)
  }

  values(name: MetricName, label: string): string[] { return [...new Set(this.of(name).map(one => one.labels[label]!))] }
}

/** What has happened from one reading to another. A counter that went back began anew with its process. */
export class MetricWindow {
  readonly before: Reading
  readonly after: Reading
  readonly seconds: number

  constructor(before: Reading, after: Reading) {
    this.before = before
    this.after = after
    this.seconds = Math.max(0.001, (after.atMs - before.atMs) / 1_000)
  }

  count(name: MetricName, labels: Labels = {}): number {
    const earlier = new Map(this.before.of(name, labels).map(one => [keyOf(one.labels), countOf(one)]))
    return this.after.of(name, labels).reduce((sum, one) => {
      const [then, value] = [earlier.get(keyOf(one.labels)) ?? 0, countOf(one)]
      return sum + (value < then ? value : value - then)
    }, 0)
  }

  /** What a histogram has summed up, in its unit. */
  sum(name: MetricName, labels: Labels = {}): number {
    const earlier = new Map(this.before.of(name, labels).map(one => [keyOf(one.labels), one]))
    return this.after.of(name, labels).reduce((total, one) => {
      const then = earlier.get(keyOf(one.labels))
      return 'sum' in one ? total + one.sum - (then && 'sum' in then && then.count <= one.count ? then.sum : 0) : total
    }, 0)
  }

  rate(name: MetricName, labels: Labels = {}): number { return this.count(name, labels) / this.seconds }

  buckets(name: MetricName, labels: Labels = {}): NativeBuckets {
    const earlier = new Map(this.before.of(name, labels).map(one => [keyOf(one.labels), one]))
    return mergeBuckets(this.after.of(name, labels).map(one => 'native' in one ? bucketsSince(one, earlier.get(keyOf(one.labels))) : []))
  }

  quantileMs(name: MetricName, share: number, labels: Labels = {}): number | null {
    const seconds = quantileOf(this.buckets(name, labels), share)
    return seconds === null ? null : seconds * 1_000
  }
}

const keyOf = (labels: Labels): string => Object.entries(labels).sort(([a], [b]) => a < b ? -1 : 1).join(';')
const countOf = (sample: AnySample): number => 'value' in sample ? sample.value : sample.count

function bucketsSince(now: HistogramSample, before: AnySample | undefined): NativeBuckets {
  if (!before || !('native' in before) || before.count > now.count) return now.native
  const earlier = new Map(before.native)
  return now.native.map(([index, count]) => [index, count - (earlier.get(index) ?? 0)] as const).filter(([, count]) => count > 0)
}
