/**
 * The cache port on Redis, shared by all processes that know its address and namespace: an
 * entry is a hash with a time to live, a tag a version (cache-scripts.ts).
 */
import { hash } from 'node:crypto'
import { isTenfoldError } from '../../base/errors.ts'
import { randomHex } from '../../base/random.ts'
import { now } from '../../base/time.ts'
import type { CacheEntry, CacheNote, CacheSet, SharedCache } from '../../ports/cache.ts'
import { beginScript, claimScript, clearScript, deleteScript, invalidateScript, setScript } from './cache-scripts.ts'
import { RedisConnection } from './connection.ts'
import type { RedisOptions, Reply } from './connection.ts'
import type { Script } from './script.ts'

export interface RedisCacheOptions extends RedisOptions {
  /** Before the names of all keys: deployments that share a Redis share nothing else. */
  readonly namespace: string
  /** Larger values are not kept. */
  readonly valueBytesMax?: number
  /** More invalidated tags are put aside, and in the end forgotten with what is as old. */
  readonly tagsMax?: number
}

const valueBytesMaxDefault = 1_048_576
const tagsMaxDefault = 50_000
/** More at once are not named one by one: everything is forgotten. */
const tagsAtOnceMax = 5_000

export const openRedisCache = (options: RedisCacheOptions): SharedCache => new RedisCache(options)

/** The parts of a note that are text; times and tags are kept apart. */
type Written = Pick<CacheNote, 'readFor' | 'etag' | 'refusal' | 'tags'> & { readonly positions: readonly (readonly [shard: number, timeline: number, lsn: string])[] }

class RedisCache implements SharedCache {
  readonly #options: RedisCacheOptions
  readonly #connection: RedisConnection
  /** Tells this opener's leases from those of others. */
  readonly #opener = randomHex(8)
  readonly #tagKeys: readonly [string, string]
  readonly #numbers = new Numbers()
  #hits = 0
  #misses = 0

  constructor(options: RedisCacheOptions) {
    this.#options = options
    this.#connection = new RedisConnection(options)
    this.#tagKeys = [`${options.namespace}:tags`, `${options.namespace}:tags:before`]
  }

  get isUp(): boolean { return this.#connection.isUp }

  async open(): Promise<void> {
    await this.#connection.open()
    if (this.isUp) await this.#run(beginScript, this.#tagKeys, []).catch((error: unknown) => { if (!isTenfoldError(error)) throw error })
  }

  close(): Promise<void> { return this.#connection.close() }

  begin(): number { return this.#numbers.latest }

  async get(key: string): Promise<CacheEntry | null> { return (await this.claim(key, 0)).entry }

  async claim(key: string, leaseMs: number) {
    const [mine, note, value, freshMs, ttlMs] = await this.#run(claimScript, this.#keysOf(key), [this.#opener, String(leaseMs)]) as [number, Buffer?, Buffer?, number?, number?]
    if (value === undefined) this.#misses++
    else this.#hits++
    return { mine: mine === 1, entry: value === undefined ? null : entryOf(key, value, noteOf(note!, freshMs!), ttlMs!) }
  }

  async set({ key, value, note, ttlMs, generation }: CacheSet): Promise<boolean> {
    const begun = this.#numbers.at(generation)
    if (begun === null || value.length > (this.#options.valueBytesMax ?? valueBytesMaxDefault)) {
      await this.delete(key)
      return false
    }
    const times = [Math.max(1, Math.ceil(ttlMs)), Math.ceil(note.freshUntilMs - now())]
    const [kept] = await this.#run(setScript, this.#keysOf(key), [this.#opener, begun.era, String(begun.generation), ...times.map(String), written(note), value, ...note.tags])
    return kept === 1
  }

  async delete(key: string): Promise<void> { await this.#run(deleteScript, this.#keysOf(key), [this.#opener]) }

  async invalidate(tags: readonly string[]): Promise<void> {
    if (tags.length > tagsAtOnceMax) return this.clear()
    await this.#run(invalidateScript, this.#tagKeys, [String(this.#options.tagsMax ?? tagsMaxDefault), ...tags])
  }

  async clear(): Promise<void> { await this.#run(clearScript, this.#tagKeys, []) }

  stats() { return { entries: 0, bytes: 0, bytesMax: 0, hits: this.#hits, misses: this.#misses, evictions: 0 } }

  /** Whoever asks brings a name for the era that begins if none has. */
  async #run(script: Script, keys: readonly string[], values: readonly (string | Buffer)[]): Promise<Reply[]> {
    const [era, generation, ...rest] = await this.#connection.run(script, keys, [randomHex(8), ...values]) as [Buffer, number, ...Reply[]]
    this.#numbers.learn(era.toString(), generation)
    return rest
  }

  /** What somebody asks may be long, and hold anything: its hash stands for it. */
  #keysOf(key: string): readonly string[] {
    const name = hash('sha256', key, 'base64url')
    return [...this.#tagKeys, `${this.#options.namespace}:entry:${name}`, `${this.#options.namespace}:lease:${name}`]
  }
}

/**
 * The generations of all eras as numbers that only grow: a new era's begin above all that
 * were given before, so that none of those is taken for one of its own.
 */
class Numbers {
  #era: string | null = null
  /** What is added to a generation of this era. */
  #offset = 0
  /** The first number of this era. */
  #first = 0
  #latest = 0

  get latest(): number { return this.#latest }

  learn(era: string, generation: number): void {
    if (era !== this.#era) {
      this.#era = era
      this.#first = this.#latest + 1
      this.#offset = this.#first - generation
    }
    this.#latest = Math.max(this.#latest, generation + this.#offset)
  }

  /** Null for a number from before this era. */
  at(number: number): { readonly era: string; readonly generation: number } | null {
    return this.#era === null || number < this.#first ? null : { era: this.#era, generation: number - this.#offset }
  }
}

function written({ positions, readFor, etag, refusal, tags }: CacheNote): string {
  return JSON.stringify({ positions: positions.map(({ shard, timeline, lsn }) => [shard, timeline, String(lsn)] as const), readFor, etag, refusal, tags } satisfies Written)
}

function noteOf(text: Buffer, freshMs: number): CacheNote {
  const { positions, ...rest } = JSON.parse(text.toString()) as Written
  return { freshUntilMs: now() + freshMs, positions: positions.map(([shard, timeline, lsn]) => ({ shard, timeline, lsn: BigInt(lsn) })), ...rest }
}

/** When it was stored is not told: its end is. */
const entryOf = (key: string, value: Buffer, note: CacheNote, ttlMs: number): CacheEntry => ({ key, value, note, storedAtMs: now(), expiresAtMs: now() + ttlMs, isOutdated: false })
