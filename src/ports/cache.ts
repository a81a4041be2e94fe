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
 * - A driver within the process answers `get` at once instead of with a promise.
 * - The note comes back as it was given: what the reader must know before it may use the value.
 * - An entry whose note says that it may lag stays, marked as outdated, when one of its tags is
 *   invalidated before the end of its lag, and until then; also one that is set after an
 *   invalidation which it began before. It never takes the place of one that is true.
 *
 * A *shared* cache is one that several processes have open, and its engine may be away:
 * - What one opener sets, invalidates or clears holds for all when it resolves. An engine that
 *   has forgotten everything refuses what was begun before.
 * - `begin` is as new as the last answer of the engine: what is begun after a `get` or `claim`
 *   is not refused for what was invalidated before that.
 * - `freshUntilMs` and `expiresAtMs` are told by the reader's clock: how long is left is what travels.
 * - Every call ends within a bounded time, with UNAVAILABLE when the engine does not answer;
 *   one that ended so may have had its effect. `open` does not wait for an engine that is away.
 * - It carries no lag: what is invalidated is forgotten.
 * - `stats` tells what this opener has asked; what the engine keeps, its measurements tell.
 */
import type { Position } from './database.ts'

/** For how long a value may be given on that is no longer true, and from when on it is to be read anew. Milliseconds since 1970. */
export interface Lag { readonly untilMs: number; readonly renewAtMs: number }

export interface CacheNote {
  /** Until then the value is fresh; later it is stale, until the entry expires. Milliseconds since 1970. */
  readonly freshUntilMs: number
  /** It shows everything that was acknowledged below these positions. */
  readonly positions: readonly Position[]
  /** The token of the session that had it read: it shows what that token names, too. */
  readonly readFor: string | null
  /** Strong validator of the value (RFC 9110), in quotes. */
  readonly etag: string
  /** True when the value is a refusal, to be answered again as one. */
  readonly refusal: boolean
  readonly tags: readonly string[]
  /** Without one it is forgotten when a tag of it is invalidated. */
  readonly lag?: Lag | null
}

export interface CacheEntry {
  readonly key: string
  readonly value: Buffer
  readonly note: CacheNote
  /** When it was stored, milliseconds since 1970. */
  readonly storedAtMs: number
  readonly expiresAtMs: number
  /** One of its tags has been invalidated: it is only for who may be given what lags. */
  readonly isOutdated: boolean
}

export interface CacheSet {
  readonly key: string
  readonly value: Buffer
  readonly note: CacheNote
  readonly ttlMs: number
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
  get(key: string): CacheEntry | null | Promise<CacheEntry | null>
  /** True when the entry was kept. */
  set(entry: CacheSet): Promise<boolean>
  delete(key: string): Promise<void>
  /** Forgets every entry that carries one of the tags, but for those that may lag. */
  invalidate(tags: readonly string[]): Promise<void>
  clear(): Promise<void>
  stats(): CacheStats
}

/** What was found, and whether it is for the caller to read it anew. */
export interface Claim {
  readonly entry: CacheEntry | null
  /** True for one of those who find nothing, or something stale: until it sets or deletes the key, or its time is over. */
  readonly mine: boolean
}

export interface SharedCache extends Cache {
  get(key: string): Promise<CacheEntry | null>
  claim(key: string, leaseMs: number): Promise<Claim>
  /** False while the engine does not answer: every call is then refused at once. */
  readonly isUp: boolean
}
