/**
 * The cache port in the process: an LRU with a byte budget. A generation is a counter of
 * invalidations: a value read before its tag was invalidated is older than the tag's last
 * generation and is not kept.
 */
import { LRUCache } from 'lru-cache'
import { now } from '../../base/time.ts'
import type { Cache, CacheEntry } from '../../ports/cache.ts'

/** Beyond this many remembered tags all are forgotten at once, and sets begun before that are refused. */
const tagsMax = 100_000
const overheadBytes = 128

/** An entry, as it is changed when a tag of it is invalidated. */
interface Held extends CacheEntry { isOutdated: boolean; expiresAtMs: number }

export function openMemoryCache(options: { readonly bytesMax: number }): Cache {
  const byTag = new Map<string, Set<string>>()
  const invalidated = new Map<string, number>()
  let generation = 0
  let floor = 0
  let hits = 0
  let misses = 0
  let evictions = 0
  const entries = new LRUCache<string, Held>({
    maxSize: options.bytesMax,
    sizeCalculation: (entry, key) => entry.value.length + Buffer.byteLength(key) + overheadBytes,
    dispose(entry, key, reason) {
      if (reason === 'evict') evictions++
      for (const tag of entry.note.tags) {
        const keys = byTag.get(tag)
        keys?.delete(key)
        if (keys?.size === 0) byTag.delete(tag)
      }
    },
  })

  function holdsTrue(key: string): boolean {
    const entry = entries.peek(key)
    return entry !== undefined && !entry.isOutdated && entry.expiresAtMs > now()
  }
  function outdate(key: string): void {
    const entry = entries.peek(key)!
    const untilMs = entry.note.lag?.untilMs ?? 0
    if (untilMs <= now()) return void entries.delete(key)
    entry.isOutdated = true
    entry.expiresAtMs = Math.min(entry.expiresAtMs, untilMs)
  }

  return {
    open: async () => {},
    close: async () => { entries.clear() },
    begin: () => generation,
    get(key) {
      const entry = entries.get(key)
      if (entry && entry.expiresAtMs > now()) { hits++; return entry }
      misses++
      if (entry) entries.delete(key)
      return null
    },
    async set({ key, value, note, ttlMs, generation: begun }) {
      const { tags } = note
      const isOutdated = tags.some(tag => (invalidated.get(tag) ?? 0) > begun)
      const lagUntilMs = note.lag?.untilMs ?? 0
      const isRefused = begun < floor || (isOutdated && lagUntilMs <= now())
      if (isOutdated && !isRefused && holdsTrue(key)) return false
      entries.delete(key)
      if (isRefused) return false
      if (value.length + Buffer.byteLength(key) + overheadBytes > options.bytesMax) return false
      const expiresAtMs = isOutdated ? Math.min(now() + ttlMs, lagUntilMs) : now() + ttlMs
      // A copy: the caller may go on writing into its buffer.
      entries.set(key, { key, value: Buffer.from(value), note, storedAtMs: now(), expiresAtMs, isOutdated })
      for (const tag of tags) {
        const keys = byTag.get(tag)
        if (keys) keys.add(key)
        else byTag.set(tag, new Set([key]))
      }
      return true
    },
    async delete(key) { entries.delete(key) },
    async invalidate(tags) {
      generation++
      if (invalidated.size + tags.length > tagsMax) { invalidated.clear(); floor = generation }
      for (const tag of tags) {
        invalidated.set(tag, generation)
        for (const key of [...byTag.get(tag) ?? []]) outdate(key)
      }
    },
    async clear() { floor = ++generation; entries.clear() },
    stats: () => ({ entries: entries.size, bytes: entries.calculatedSize, bytesMax: options.bytesMax, hits, misses, evictions }),
  }
}
