/**
 * What every driver of a shared cache must do beyond the suite of caches: be one for all who
 * open it, say who reads what is missing, and cost little while its engine is away.
 */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import { after, monotonicMs, now, sleep } from '../base/time.ts'
import type { CacheNote, CacheSet, SharedCache } from '../ports/cache.ts'
import { suite } from './check.ts'

export interface SharedCacheSubject {
  readonly one: SharedCache
  /** Another process of the same deployment. */
  readonly other: SharedCache
  /** Fault 'restart': the engine dies and comes back. */
  restart?(): Promise<void>
  /** Fault 'flush': the engine forgets everything and says nothing. */
  flush?(): Promise<void>
  /** Fault 'evict': the engine drops whatever it likes, tags too. */
  evict?(): Promise<void>
  /** Fault 'cut': every connection breaks. */
  cut?(): Promise<void>
  /** Fault 'hang': what the engine is asked it does not answer, until the returned function is called. */
  hang?(): () => void
}

const patienceMs = 10_000
/** Soon: much longer than a call may take, on a busy machine too. */
const soonMs = 3_000
const note: CacheNote = { freshUntilMs: 0, positions: [], readFor: null, etag: '"x"', refusal: false, tags: [] }

interface Wanted { readonly tags?: readonly string[]; readonly freshMs?: number; readonly generation?: number }

const entry = (cache: SharedCache, key: string, { tags = [], freshMs = 30_000, generation = cache.begin() }: Wanted = {}): CacheSet =>
  ({ key, value: Buffer.from(`value of ${key}`), note: { ...note, freshUntilMs: now() + freshMs, tags }, ttlMs: 60_000, generation })
const valueOf = async (cache: SharedCache, key: string) => (await cache.get(key))?.value.toString() ?? null

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = monotonicMs() + patienceMs
  while (!await condition()) {
    assert.ok(monotonicMs() < deadlineMs, `${what} within ${patienceMs} ms`)
    await sleep(5)
  }
}

const isRefused = (error: unknown): boolean => isTenfoldError(error) && error.code === 'UNAVAILABLE'
const answers = (cache: SharedCache) => cache.get('anything').then(() => true, (error: unknown) => { assert.ok(isRefused(error), String(error)); return false })
/** A get first: what is begun then is as new as the engine. */
const setFreshly = async (cache: SharedCache, key: string, wanted?: Wanted) => { await cache.get(key); return cache.set(entry(cache, key, wanted)) }

export const sharedCacheSuite = suite<SharedCacheSubject>('cache', {
  'what one sets the other has': async ({ one, other }) => {
    await one.set(entry(one, 'a', { tags: ['x'] }))
    assert.equal(await valueOf(other, 'a'), 'value of a')
    assert.deepEqual((await other.get('a'))!.note.tags, ['x'])
  },
  'what one invalidates, deletes or clears the other has no more': async ({ one, other }) => {
    for (const key of ['a', 'b', 'c']) await one.set(entry(one, key, { tags: [key] }))
    await other.invalidate(['a'])
    assert.deepEqual([await valueOf(one, 'a'), await valueOf(one, 'b')], [null, 'value of b'])
    await other.delete('b')
    assert.deepEqual([await valueOf(one, 'b'), await valueOf(one, 'c')], [null, 'value of c'])
    await other.clear()
    assert.equal(await valueOf(one, 'c'), null)
  },
  'what may lag within a process is forgotten like anything else': async ({ one, other }) => {
    const lag = { untilMs: now() + 60_000, renewAtMs: now() + 60_000 }
    await one.set({ ...entry(one, 'a'), note: { ...note, tags: ['x'], lag } })
    await other.invalidate(['x'])
    assert.equal(await one.get('a'), null)
  },
  'a set that one began does not bring back what the other invalidated or cleared': async ({ one, other }) => {
    const early = one.begin()
    await other.invalidate(['x'])
    assert.equal(await one.set(entry(one, 'a', { tags: ['x'], generation: early })), false)
    assert.equal(await other.get('a'), null)
    assert.equal(await setFreshly(one, 'a', { tags: ['x'] }), true, 'one begun afterwards is kept')
    await one.get('a')
    const before = one.begin()
    await other.clear()
    assert.equal(await one.set(entry(one, 'b', { generation: before })), false)
    assert.equal(await setFreshly(one, 'b'), true)
  },
  'many invalidations forget nothing that they do not name, and bring nothing back': async ({ one, other }) => {
    await one.set(entry(one, 'old', { tags: ['old'] }))
    const early = one.begin()
    await other.invalidate(['named'])
    for (let count = 0; count < 12; count++) await other.invalidate(Array.from({ length: 20 }, (_, index) => `tag-${count}-${index}`))
    assert.equal(await one.set(entry(one, 'a', { tags: ['named'], generation: early })), false)
    assert.equal(await setFreshly(one, 'new', { tags: ['new'] }), true)
    await other.invalidate(['last'])
    assert.equal(await valueOf(one, 'new'), 'value of new')
  },
  'of many who find nothing one reads, and the others find what it has set': async ({ one, other }) => {
    const claims = await Promise.all(Array.from({ length: 20 }, (_, index) => (index % 2 ? one : other).claim('a', 60_000)))
    assert.equal(claims.filter(({ mine }) => mine).length, 1)
    const reader = claims.findIndex(({ mine }) => mine) % 2 ? one : other
    await reader.set(entry(reader, 'a'))
    const { entry: found, mine } = await (reader === one ? other : one).claim('a', 60_000)
    assert.deepEqual([found?.value.toString(), mine], ['value of a', false])
  },
  'who gives up, is refused, or takes too long makes room for the next': async ({ one, other }) => {
    assert.equal((await one.claim('a', 60_000)).mine, true)
    await one.delete('a')
    assert.equal((await other.claim('a', 60_000)).mine, true)
    const early = other.begin()
    await one.invalidate(['x'])
    assert.equal(await other.set(entry(other, 'a', { tags: ['x'], generation: early })), false)
    assert.equal((await one.claim('a', 50)).mine, true)
    await until('the time is over', async () => (await other.claim('a', 60_000)).mine)
  },
  'who was too late takes nothing from the next': async ({ one, other }) => {
    assert.equal((await one.claim('a', 1)).mine, true)
    await until('the time is over', async () => (await other.claim('a', 60_000)).mine)
    await one.delete('a')
    assert.equal((await one.claim('a', 60_000)).mine, false)
  },
  'what is stale is given, and one reads it anew': async ({ one, other }) => {
    await one.set(entry(one, 'a', { freshMs: 20 }))
    await until('it is stale', async () => (await one.get('a'))!.note.freshUntilMs <= now())
    const claims = await Promise.all([one.claim('a', 60_000), other.claim('a', 60_000), one.claim('a', 60_000)])
    assert.deepEqual(claims.map(({ entry }) => entry?.value.toString()), ['value of a', 'value of a', 'value of a'])
    assert.equal(claims.filter(({ mine }) => mine).length, 1)
  },
  'an engine that has forgotten everything refuses what was begun before': {
    fault: 'flush',
    async run({ one, other, flush }) {
      await one.invalidate(['x'])
      await one.set(entry(one, 'a'))
      const early = one.begin()
      await one.invalidate(['x'])
      await flush!()
      assert.equal(await one.set(entry(one, 'b', { tags: ['x'], generation: early })), false)
      assert.deepEqual([await valueOf(other, 'a'), await valueOf(other, 'b')], [null, null])
      assert.equal(await setFreshly(one, 'b', { tags: ['x'] }), true)
      assert.equal(await valueOf(other, 'b'), 'value of b')
    },
  },
  'an engine that has forgotten its tags gives nothing from before': {
    fault: 'evict',
    async run({ one, other, evict }) {
      await one.set(entry(one, 'a', { tags: ['x'] }))
      const early = other.begin()
      await one.invalidate(['y'])
      await evict!()
      assert.equal(await valueOf(other, 'a'), null)
      assert.equal(await other.set(entry(other, 'b', { tags: ['y'], generation: early })), false)
      assert.equal(await setFreshly(other, 'a'), true)
    },
  },
  'an engine that was restarted is found again, and refuses what was begun before': {
    fault: 'restart',
    async run({ one, other, restart }) {
      await one.set(entry(one, 'a'))
      const early = one.begin()
      await restart!()
      await until('both are up', async () => await answers(one) && answers(other))
      assert.equal(await one.set(entry(one, 'b', { generation: early })), false)
      assert.equal(await setFreshly(one, 'c'), true)
      assert.equal(await valueOf(other, 'c'), 'value of c')
    },
  },
  'a cut connection is opened again, and what was kept is there': {
    fault: 'cut',
    async run({ one, other, cut }) {
      await one.set(entry(one, 'a', { tags: ['x'] }))
      await cut!()
      await until('both are up', async () => await answers(one) && answers(other))
      assert.equal(await valueOf(other, 'a'), 'value of a')
      await other.invalidate(['x'])
      assert.equal(await valueOf(one, 'a'), null)
    },
  },
  'an engine that hangs is given up soon, and found again': {
    fault: 'hang',
    async run({ one, hang }) {
      await one.set(entry(one, 'a'))
      const resume = hang!()
      try {
        const outcomes = await Promise.race([Promise.allSettled(Array.from({ length: 20 }, () => one.get('a'))), new Promise<void>(resolve => { after(soonMs, resolve, true) })])
        assert.ok(outcomes, 'calls do not wait for it')
        for (const outcome of outcomes) assert.ok(outcome.status === 'rejected' && isRefused(outcome.reason))
        await until('it is known to be away', async () => !one.isUp)
        await assert.rejects(one.invalidate(['x']), isRefused)
      } finally { resume() }
      await until('it is up', () => answers(one))
      assert.equal(await valueOf(one, 'a'), 'value of a')
    },
  },
  'close may be called twice': async ({ one }) => {
    await one.close()
    await one.close()
  },
})
