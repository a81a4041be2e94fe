/** What every cache driver must do. */
import assert from 'node:assert/strict'
import { now, sleep } from '../base/time.ts'
import type { Cache, CacheNote, CacheSet } from '../ports/cache.ts'
import { suite } from './check.ts'

export interface CacheSubject { readonly cache: Cache; readonly bytesMax: number }

const note: CacheNote = { freshUntilMs: 1, positions: [{ shard: 1, timeline: 2, lsn: 2n ** 63n }], readFor: 'a session', etag: '"x"', refusal: false, tags: [] }
const entry = (cache: Cache, key: string, { tags = [], ...more }: Partial<CacheSet> & { readonly tags?: readonly string[] } = {}): CacheSet =>
  ({ key, value: Buffer.from(`value of ${key}`), note: { ...note, tags }, ttlMs: 60_000, generation: cache.begin(), ...more })
const valueOf = async (cache: Cache, key: string) => (await cache.get(key))?.value.toString() ?? null

export const cacheSuite = suite<CacheSubject>('cache', {
  'what was set is there until it is deleted': async ({ cache }) => {
    assert.equal(await cache.get('a'), null)
    assert.equal(await cache.set(entry(cache, 'a')), true)
    assert.equal(await valueOf(cache, 'a'), 'value of a')
    await cache.delete('a')
    assert.equal(await cache.get('a'), null)
  },
  'the note comes back as it was given': async ({ cache }) => {
    const freshUntilMs = now() + 30_000
    await cache.set(entry(cache, 'a', { note: { ...note, freshUntilMs, tags: ['x', 'Zürich 💡', ''] } }))
    const found = (await cache.get('a'))!.note
    assert.deepEqual({ ...found, freshUntilMs }, { ...note, freshUntilMs, tags: ['x', 'Zürich 💡', ''] })
    assert.ok(Math.abs(found.freshUntilMs - freshUntilMs) < 5_000, 'the time may have been told by another clock')
  },
  'bytes come back as they are, whatever the key': async ({ cache }) => {
    const value = Buffer.from([0, 255, 13, 10, 36, 0])
    for (const key of ['', 'a\nb', 'Zürich 💡', 'k'.repeat(5_000)]) {
      await cache.set(entry(cache, key, { value }))
      assert.deepEqual((await cache.get(key))?.value, value)
    }
  },
  'an expired entry is never given': async ({ cache }) => {
    await cache.set(entry(cache, 'a', { ttlMs: 600 }))
    assert.equal(await valueOf(cache, 'a'), 'value of a')
    await sleep(620)
    assert.equal(await cache.get('a'), null)
  },
  'invalidating a tag forgets its entries and no others': async ({ cache }) => {
    await cache.set(entry(cache, 'a', { tags: ['x', 'y'] }))
    await cache.set(entry(cache, 'b', { tags: ['y'] }))
    await cache.set(entry(cache, 'c', { tags: ['z'] }))
    await cache.invalidate(['x'])
    assert.deepEqual([await valueOf(cache, 'a'), await valueOf(cache, 'b'), await valueOf(cache, 'c')], [null, 'value of b', 'value of c'])
  },
  'a set begun before an invalidation does not bring the old value back': async ({ cache }) => {
    const generation = cache.begin()
    await cache.invalidate(['x'])
    assert.equal(await cache.set(entry(cache, 'a', { tags: ['x'], generation })), false)
    assert.equal(await cache.get('a'), null)
    assert.equal(await cache.set(entry(cache, 'a', { tags: ['x'] })), true, 'one begun afterwards is kept')
  },
  'another value under the same key takes its tags along': async ({ cache }) => {
    await cache.set(entry(cache, 'a', { tags: ['old'] }))
    await cache.set(entry(cache, 'a', { tags: ['new'] }))
    await cache.invalidate(['old'])
    assert.equal(await valueOf(cache, 'a'), 'value of a')
    await cache.invalidate(['new'])
    assert.equal(await cache.get('a'), null)
  },
  'the budget counts bytes': async ({ cache, bytesMax }) => {
    for (let index = 0; index < 100; index++) await cache.set(entry(cache, `k${index}`, { value: Buffer.alloc(bytesMax / 20) }))
    const { bytes, entries, evictions } = cache.stats()
    assert.ok(bytes <= bytesMax && entries >= 10 && entries < 20 && evictions > 0, JSON.stringify(cache.stats()))
    assert.notEqual(await cache.get('k99'), null, 'the newest stays')
  },
  'an entry beyond the budget is not kept, and that is no error': async ({ cache, bytesMax }) => {
    await cache.set(entry(cache, 'a'))
    assert.equal(await cache.set(entry(cache, 'a', { value: Buffer.alloc(bytesMax + 1) })), false)
    assert.equal(await cache.get('a'), null, 'nor is the value it replaced')
  },
  'clear forgets everything, and sets that had begun': async ({ cache }) => {
    await cache.set(entry(cache, 'a'))
    const generation = cache.begin()
    await cache.clear()
    assert.equal(await cache.get('a'), null)
    assert.equal(await cache.set(entry(cache, 'b', { generation })), false)
  },
  'hits and misses are counted': async ({ cache }) => {
    await cache.set(entry(cache, 'a'))
    await cache.get('a')
    await cache.get('b')
    assert.deepEqual([cache.stats().hits, cache.stats().misses], [1, 1])
  },
})

/** What a driver within the process must do with what may lag; a shared one forgets it like anything else. */
export const laggingCacheSuite = suite<CacheSubject>('cache', {
  'what may lag stays when it is no longer true, marked, until its lag is over': async ({ cache }) => {
    const may = (key: string, lagMs: number) => cache.set(entry(cache, key, { note: { ...note, tags: ['x'], lag: { untilMs: now() + lagMs, renewAtMs: now() } } }))
    await Promise.all([may('a', 60_000), may('b', 400), may('c', -1)])
    assert.equal((await cache.get('a'))!.isOutdated, false)
    await cache.invalidate(['x'])
    assert.deepEqual([(await cache.get('a'))?.isOutdated, (await cache.get('b'))?.isOutdated, await cache.get('c')], [true, true, null])
    await sleep(420)
    assert.deepEqual([(await cache.get('a'))?.isOutdated, await cache.get('b')], [true, null])
    await may('a', 60_000)
    assert.equal((await cache.get('a'))!.isOutdated, false, 'read anew')
  },
  'one that was read too early is kept as no longer true, and never in the place of one that is': async ({ cache }) => {
    const early = (key: string, generation: number) => cache.set(entry(cache, key, { generation, note: { ...note, tags: ['x'], lag: { untilMs: now() + 60_000, renewAtMs: now() } } }))
    const generation = cache.begin()
    await cache.invalidate(['x'])
    assert.equal(await early('a', generation), true)
    assert.equal((await cache.get('a'))!.isOutdated, true)
    await cache.set(entry(cache, 'b', { tags: ['x'] }))
    assert.equal(await early('b', generation), false)
    assert.equal((await cache.get('b'))!.isOutdated, false)
    await cache.clear()
    assert.equal(await early('a', generation), false, 'what was forgotten altogether does not come back')
  },
  'it never lives longer than it would have': async ({ cache }) => {
    await cache.set(entry(cache, 'a', { ttlMs: 300, note: { ...note, tags: ['x'], lag: { untilMs: now() + 60_000, renewAtMs: now() } } }))
    await cache.invalidate(['x'])
    assert.equal((await cache.get('a'))!.isOutdated, true)
    await sleep(320)
    assert.equal(await cache.get('a'), null)
  },
})
