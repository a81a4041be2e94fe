/**
 * A cache that keeps nothing: it says which share of the questions could have been answered
 * from kept answers, before any is kept. While it is on, it sees the keys of the questions that
 * are really asked, how large their answers are, and which tags became untrue.
 *
 * It is small whatever is asked: it looks only at keys whose hash is below a threshold, which
 * sinks when there are too many, and gives the caches that it plays the same share of their
 * bytes (SHARDS, Waldspurger et al. 2015; miniature simulation, 2017).
 */
import { monotonicMs } from '../base/time.ts'
import type { Query } from '../model/query.ts'

export interface GhostReading {
  readonly intent: string
  readonly requests: number
  readonly keys: number
  readonly freshMs: number
  readonly isDeclared: boolean
  readonly bytes: number
  readonly answers: number
  readonly sizes: readonly { readonly bytesMax: number; readonly hits: readonly [least: number, most: number] }[]
}

/** A question that would have been read. */
export interface Missed { keep(bytes: number, tags: readonly string[]): void }

const mebi = 1_048_576
export const ghostSizes = [16 * mebi, 64 * mebi, 256 * mebi] as const
/** Where a query does not say how fresh its answers have to be. */
export const ghostFreshMs = 10_000
const overheadBytes = 128
const keysMax = 8_192

interface Entry { readonly bytes: number; readonly untilMs: number; readonly lagUntilMs: number; readonly generation: number; readonly tags: readonly string[] }

/** One cache that is played: least recently used goes first. */
class Played {
  readonly bytesMax: number
  readonly entries = new Map<string, Entry>()
  bytes = 0

  constructor(bytesMax: number) { this.bytesMax = bytesMax }

  drop(key: string): void {
    const entry = this.entries.get(key)
    if (!entry) return
    this.entries.delete(key)
    this.bytes -= entry.bytes
  }

  set(key: string, entry: Entry, rate: number): void {
    this.drop(key)
    this.entries.set(key, entry)
    this.bytes += entry.bytes
    for (const oldest of this.entries.keys()) {
      if (this.bytes <= this.bytesMax * rate) return
      this.drop(oldest)
    }
  }

  touch(key: string, entry: Entry): void {
    this.entries.delete(key)
    this.entries.set(key, entry)
  }
}

class Count {
  readonly freshMs: number
  readonly isDeclared: boolean
  requests = 0
  keys = 0
  bytes = 0
  answers = 0
  /** Hits for sure, by size; those of sessions that may have written something; those of keys that were asked for the first time. */
  readonly hits = ghostSizes.map(() => 0)
  readonly perhaps = ghostSizes.map(() => 0)
  first = 0

  constructor(freshMs: number | undefined) {
    this.freshMs = freshMs ?? ghostFreshMs
    this.isDeclared = freshMs !== undefined
  }
}

/** Each question, as the cache would see it. */
export interface Asked {
  readonly intent: Query
  readonly key: string
  readonly hasToken: boolean
  /** Asked by nobody in particular. */
  readonly mayLag?: boolean
}

export class GhostCache {
  #caches: readonly Played[] = []
  readonly #counts = new Map<string, Count>()
  readonly #seen = new Set<string>()
  readonly #invalidated = new Map<string, number>()
  #generation = 0
  #rate = 0
  #countsFromMs = 0

  /** Off it costs one comparison. */
  get isOn(): boolean { return this.#rate > 0 }

  /** Counts after warmMs, when the caches have filled. */
  begin(warmMs: number): void {
    this.end()
    this.#caches = ghostSizes.map(bytesMax => new Played(bytesMax))
    this.#rate = 1
    this.#countsFromMs = monotonicMs() + warmMs
  }

  /** What was seen; it is off then. */
  end(): GhostReading[] {
    const readings = [...this.#counts].filter(([, { requests }]) => requests > 0).map(([intent, { requests, keys, freshMs, isDeclared, bytes, answers, hits, perhaps, first }]): GhostReading => ({
      intent, requests, keys, freshMs, isDeclared, bytes, answers,
      sizes: ghostSizes.map((bytesMax, index) => ({ bytesMax, hits: [hits[index]! / requests, Math.min(1, (hits[index]! + perhaps[index]! + first) / requests)] })),
    }))
    for (const kept of [this.#counts, this.#seen, this.#invalidated]) kept.clear()
    this.#caches = []
    this.#rate = 0
    return readings
  }

  /** Null where a kept answer would have served in every size, or the key is not looked at. */
  ask({ intent, key, hasToken, mayLag = false }: Asked): Missed | null {
    if (hashOf(key) >= this.#rate) return null
    const nowMs = monotonicMs()
    const freshMs = intent.definition.freshness?.freshMs
    const count = this.#counts.get(intent.name) ?? new Count(freshMs)
    this.#counts.set(intent.name, count)
    const [weight, counted] = [1 / this.#rate, nowMs >= this.#countsFromMs]
    const isFirst = !this.#seen.has(key)
    if (isFirst) this.#see(key)
    if (isFirst) count.keys += weight
    if (counted) count.requests += weight
    if (counted && isFirst) count.first += weight
    const missed: Played[] = []
    for (const [index, cache] of this.#caches.entries()) {
      const entry = cache.entries.get(key)
      if (!entry || entry.untilMs <= nowMs || (this.#isUntrue(entry) && (!mayLag || entry.lagUntilMs <= nowMs))) { missed.push(cache); continue }
      cache.touch(key, entry)
      if (counted) (hasToken ? count.perhaps : count.hits)[index]! += weight
    }
    if (missed.length === 0) return null
    const generation = this.#generation
    // Half of the lag after it was read, an answer that is no longer true is read anew.
    const lagUntilMs = nowMs + (intent.definition.freshness?.lagMs ?? 0) / 2
    return { keep: (bytes, tags) => this.#keep(missed, count, key, { bytes: bytes + key.length + overheadBytes, untilMs: monotonicMs() + count.freshMs, lagUntilMs, generation, tags }) }
  }

  invalidate(tags: readonly string[]): void {
    if (!this.isOn) return
    this.#generation++
    for (const tag of tags) this.#invalidated.set(tag, this.#generation)
  }

  #keep(missed: readonly Played[], count: Count, key: string, entry: Entry): void {
    if (!this.isOn) return
    count.bytes += entry.bytes
    count.answers++
    // Another answer of this key may have come meanwhile: it is as good.
    if (this.#seen.has(key)) for (const cache of missed) cache.set(key, entry, this.#rate)
  }

  #isUntrue({ tags, generation }: Entry): boolean { return tags.some(tag => (this.#invalidated.get(tag) ?? 0) > generation) }

  /** One key more; when there are too many, half of them are looked at no longer. */
  #see(key: string): void {
    this.#seen.add(key)
    if (this.#seen.size <= keysMax) return
    this.#rate /= 2
    for (const one of this.#seen) {
      if (hashOf(one) < this.#rate) continue
      this.#seen.delete(one)
      for (const cache of this.#caches) cache.drop(one)
    }
  }
}

/** FNV-1a with murmur's finaliser, from 0 to 1. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 4_294_967_296
}
