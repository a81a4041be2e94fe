/**
 * The second tier of kept answers: a cache that all processes share, behind the one in each.
 * What one process has read the others find; of those that find nothing one reads, and the
 * others wait for it, for a bounded time.
 *
 * Its engine may be slow or away: then answers are read as without it. What could not be told
 * to it is owed, and it is not used before that is paid; who was started while it was away
 * owes everything.
 */
import { isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { Counter } from '../base/metric-registry.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { CacheEntry, CacheNote, CacheSet, Claim, SharedCache } from '../ports/cache.ts'

export interface SharedTierOptions {
  readonly shared: SharedCache
  readonly log: Logger
  /** False is the negative control of the test with several processes: each reads for itself. */
  readonly leases?: boolean
}

/** What becomes of looking into it: found, to be read here, found after a wait, waited in vain, not answered. */
export const sharedResults = ['hit', 'miss', 'wait', 'late', 'failed'] as const

export interface Search {
  readonly key: string
  /** Whether to wait for whom it is read by. */
  readonly waits: boolean
  /** Whether an answer may be given to who asks. */
  suits(note: CacheNote): boolean
  /** Called before each look; what is found is put into the first tier as of then. */
  begin(): void
}

const everything = 'everything'
const owedMax = 10_000
/** How often it is looked whether somebody else has read it. */
const look = { firstMs: 2, lastMs: 25, growth: 1.5 }

export class SharedTier {
  readonly counts: Readonly<Record<typeof sharedResults[number], Counter>> = { hit: new Counter(), miss: new Counter(), wait: new Counter(), late: new Counter(), failed: new Counter() }
  readonly #options: SharedTierOptions
  #owed: Set<string> | typeof everything | null
  #paying: Promise<boolean> | null = null

  /** The cache has been opened. */
  constructor(options: SharedTierOptions) {
    this.#options = options
    this.#owed = options.shared.isUp ? null : everything
  }

  /** False while it is not used. */
  get isUp(): boolean { return this.#options.shared.isUp && this.#owed === null }

  /** The generation for `keep`. */
  begin(): number { return this.#options.shared.begin() }

  /** What is kept, or null when it is to be read by who asks. */
  async find({ key, waits, suits, begin }: Search): Promise<CacheEntry | null> {
    const untilMs = monotonicMs() + limits.cacheWaitMs
    for (let pauseMs = look.firstMs; ; pauseMs = Math.min(look.lastMs, pauseMs * look.growth)) {
      begin()
      const claim = await this.#claim(key)
      const isFirst = pauseMs === look.firstMs
      if (!claim) return this.#ends('failed')
      if (claim.mine || this.#options.leases === false && !claim.entry) return this.#ends('miss')
      if (claim.entry) return suits(claim.entry.note) ? this.#ends(isFirst ? 'hit' : 'wait', claim.entry) : this.#ends('miss')
      if (!waits || monotonicMs() > untilMs) return this.#ends(waits ? 'late' : 'miss')
      await sleep(pauseMs)
    }
  }

  #ends(result: typeof sharedResults[number], entry: CacheEntry | null = null): CacheEntry | null {
    this.counts[result].add()
    return entry
  }

  async #claim(key: string): Promise<Claim | null> {
    if (this.#owed !== null) {
      void this.settle()
      return null
    }
    return this.#options.shared.isUp ? await this.#try(this.#options.shared.claim(key, limits.cacheLeaseMs)) : null
  }

  /** Nobody waits for it. */
  keep(entry: CacheSet): void {
    if (this.isUp) void this.#try(this.#options.shared.set(entry))
  }

  /** What was to be read here could not be: somebody else may try. */
  leave(key: string): void {
    if (this.isUp) void this.#try(this.#options.shared.delete(key))
  }

  /** False when it could not be told; then it is owed. */
  async forget(tags: readonly string[]): Promise<boolean> {
    if (this.#owed === null && await this.#try(this.#options.shared.invalidate(tags).then(() => true))) return true
    this.#owe(tags)
    return this.settle()
  }

  async clear(): Promise<void> {
    this.#owed = everything
    await this.settle()
  }

  #owe(tags: readonly string[]): void {
    if (this.#owed === everything) return
    this.#owed ??= new Set()
    for (const tag of tags) this.#owed.add(tag)
    if (this.#owed.size > owedMax) this.#owed = everything
  }

  /** Tells what is owed; true when nothing is any more. */
  settle(): Promise<boolean> {
    return this.#paying ??= this.#payAll().finally(() => { this.#paying = null })
  }

  async #payAll(): Promise<boolean> {
    const { shared } = this.#options
    while (this.#owed !== null) {
      const owed = this.#owed
      // What comes meanwhile is owed as well.
      const more = this.#owed = new Set<string>()
      const paid = shared.isUp && await this.#try((owed === everything ? shared.clear() : shared.invalidate([...owed])).then(() => true))
      if (!paid) {
        if (owed === everything) this.#owed = everything
        else this.#owe([...owed])
        return false
      }
      if (this.#owed === more && more.size === 0) this.#owed = null
    }
    return true
  }

  /** Null when the engine does not answer. */
  async #try<T>(work: Promise<T>): Promise<T | null> {
    try {
      return await work
    } catch (error) {
      if (!isTenfoldError(error)) throw error
      this.#options.log.debug({ err: error }, 'the shared cache did not answer')
      return null
    }
  }
}
