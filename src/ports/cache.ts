/**
 * The cache port: bytes under keys, with tags, for answers that were serialised once.
 *
 * Contract
 * - A `get` after a resolved `set` returns the entry until it expires, is deleted, its tag
 *   is invalidated, or the byte budget evicts it. It never returns an expired entry.
 * - The budget counts bytes of keys and values, not entries; an entry larger than the
 *   budget is not kept and that is not an error.
 * - A `set` that began before an `invalidate` of one of its tags resolved, and lands after it,
 *   must not resurrect the entry: `set` takes the generation `begin` returned.
 */

export interface CacheEntry {
  readonly value: Buffer
  /** When it was stored, milliseconds since 1970. */
  readonly storedAtMs: number
  readonly expiresAtMs: number
}

export interface CacheSet {
  readonly key: string
  readonly value: Buffer
  readonly ttlMs: number
  readonly tags: readonly string[]
  /** From `begin`, taken before the value was read from its source. */
  readonly generation: number
}

export interface CacheStats {
  readonly entries: number
  readonly bytes: number
  readonly bytesMax: number
  readonly hits: number
  readonly misses: number
  readonly evictions: number
}

export interface Cache {
  open(): Promise<void>
  close(): Promise<void>
  /** The generation to give to `set`, taken before reading the source. */
  begin(): number
  get(key: string): Promise<CacheEntry | null>
  /** True when the entry was kept. */
  set(entry: CacheSet): Promise<boolean>
  delete(key: string): Promise<void>
  /** Forgets every entry that carries one of the tags. */
  invalidate(tags: readonly string[]): Promise<void>
  clear(): Promise<void>
  stats(): CacheStats
}
