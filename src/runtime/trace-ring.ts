/**
 * The traces worth keeping, decided when they end: of each intent the slowest of the last
 * while and the newest that failed, and of all intents the newest that a caller or the
 * sampler asked for. Bounded in number and in bytes; the oldest go first.
 */
import type { Trace } from './span.ts'

export interface RingLimits {
  readonly slowestMax: number
  readonly failedMax: number
  readonly sampledMax: number
  readonly bytesMax: number
  /** After so long a slow trace gives way to any newer one. */
  readonly slowMs: number
}

const standard: RingLimits = { slowestMax: 5, failedMax: 10, sampledMax: 100, bytesMax: 8_388_608, slowMs: 900_000 }

/** What one trace holds: its spans, and texts as if nobody shared them. */
const spanBytes = 250

class Kept {
  readonly slowest: Trace[] = []
  readonly failed: Trace[] = []
  /** Faster ones need not be looked at, before this time. */
  floorMs = -1
  expiresAtMs = Infinity
}

export class TraceRing {
  readonly #limits: RingLimits
  readonly #byIntent = new Map<string, Kept>()
  readonly #sampled: Trace[] = []
  /** In the order in which they came, with their bytes and how many lists hold them. */
  readonly #all = new Map<Trace, { readonly bytes: number; lists: number }>()
  #bytes = 0

  constructor(limits: Partial<RingLimits> = {}) {
    this.#limits = { ...standard, ...limits }
  }

  /** In the order in which they ended. */
  get traces(): readonly Trace[] { return [...this.#all.keys()] }

  get bytes(): number { return this.#bytes }

  offer(trace: Trace): void {
    const { root } = trace
    let kept = this.#byIntent.get(trace.intent)
    if (!kept) this.#byIntent.set(trace.intent, kept = new Kept())
    if (trace.isFailed) this.#push(kept.failed, trace, this.#limits.failedMax)
    if (trace.isSampled) this.#push(this.#sampled, trace, this.#limits.sampledMax)
    if (root.endMs - root.startMs > kept.floorMs || root.endMs >= kept.expiresAtMs) this.#offerSlow(kept, trace)
    if (this.#bytes > this.#limits.bytesMax) this.#shrink()
  }

  #offerSlow(kept: Kept, trace: Trace): void {
    const { slowest } = kept
    if (slowest.length >= this.#limits.slowestMax) {
      const old = slowest.findIndex(one => one.root.endMs + this.#limits.slowMs <= trace.root.endMs)
      const [out] = slowest.splice(old < 0 ? slowest.indexOf(slowest.reduce(faster)) : old, 1)
      this.#release(out!)
    }
    slowest.push(trace)
    this.#hold(trace)
    this.#measure(kept)
  }

  #measure(kept: Kept): void {
    const { slowest } = kept
    kept.floorMs = slowest.length < this.#limits.slowestMax ? -1 : durationOf(slowest.reduce(faster))
    kept.expiresAtMs = Math.min(...slowest.map(one => one.root.endMs)) + this.#limits.slowMs
  }

  #push(list: Trace[], trace: Trace, max: number): void {
    if (list.length >= max) this.#release(list.shift()!)
    list.push(trace)
    this.#hold(trace)
  }

  #hold(trace: Trace): void {
    const entry = this.#all.get(trace)
    if (entry) { entry.lists++; return }
    const bytes = trace.spans.reduce((sum, { text }) => sum + spanBytes + text.length, spanBytes)
    this.#all.set(trace, { bytes, lists: 1 })
    this.#bytes += bytes
  }

  #release(trace: Trace): void {
    const entry = this.#all.get(trace)!
    if (--entry.lists > 0) return
    this.#all.delete(trace)
    this.#bytes -= entry.bytes
  }

  #shrink(): void {
    for (const trace of this.#all.keys()) {
      if (this.#bytes <= this.#limits.bytesMax) return
      const kept = this.#byIntent.get(trace.intent)!
      for (const list of [kept.slowest, kept.failed, this.#sampled]) {
        const at = list.indexOf(trace)
        if (at < 0) continue
        list.splice(at, 1)
        this.#release(trace)
      }
      this.#measure(kept)
    }
  }
}

const durationOf = ({ root }: Trace): number => root.endMs - root.startMs
const faster = (one: Trace, other: Trace): Trace => durationOf(other) < durationOf(one) ? other : one
