/** The drivers on a real Redis against their suites, and drivers with one fault each, which the suites must find. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { cacheSuite } from '../../src/conformance/cache.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { measurementsSuite } from '../../src/conformance/measurements.ts'
import { rateSuite } from '../../src/conformance/rate.ts'
import { sessionSuite } from '../../src/conformance/session.ts'
import { sharedCacheSuite } from '../../src/conformance/shared-cache.ts'
import type { SharedCacheSubject } from '../../src/conformance/shared-cache.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { openRedisCache } from '../../src/drivers/redis/cache.ts'
import { openRedisMeasurements } from '../../src/drivers/redis/measurements.ts'
import { openRedisRates } from '../../src/drivers/redis/rate.ts'
import { openRedisSessions } from '../../src/drivers/redis/session.ts'
import type { SharedCache } from '../../src/ports/cache.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { patientMs, testRedis } from '../support/redis.ts'
import type { Sessions } from '../../src/ports/session.ts'
import type { TestRedis } from '../support/redis.ts'

const skip = skipWithout('redis')
let redis: TestRedis
/** One that keeps what it has. */
let state: TestRedis
before(async () => { if (!skip) [redis, state] = await Promise.all([testRedis(), testRedis('state')]) })
after(() => Promise.all([redis?.close(), state?.close()]))

const bytesMax = 100_000
const openCache = (namespace: string, callMs = patientMs) => openRedisCache({ url: redis.url, log: silentLogger, namespace, callMs, valueBytesMax: bytesMax, tagsMax: 100 })

const cacheDriver = (name: string, wrap = (cache: SharedCache): SharedCache => cache) => ({
  name,
  deviates: { 'the budget counts bytes': 'the server has one budget for all that it keeps: its measurements tell' },
  async open() {
    const cache = openCache(redis.namespace())
    await cache.open()
    return { subject: { cache: wrap(cache), bytesMax }, close: () => cache.close() }
  },
})

type Wrap = (cache: SharedCache) => SharedCache
const sharedDriver = (name: string, wrap: Wrap = cache => cache, spaces = 1, callMs = patientMs) => ({
  name,
  faults: ['restart', 'flush', 'evict', 'cut', 'hang'],
  async open() {
    const namespaces = Array.from({ length: spaces }, () => redis.namespace())
    const caches = [namespaces[0]!, namespaces.at(-1)!].map(namespace => openCache(namespace, callMs))
    await Promise.all(caches.map(cache => cache.open()))
    const [one, other] = caches.map(wrap) as [SharedCache, SharedCache]
    const subject: SharedCacheSubject = {
      one, other, restart: () => redis.restart(), flush: () => redis.flush(), cut: () => redis.cut(), hang: () => redis.hang(),
      async evict() { await redis.ask('DEL', `${namespaces[0]}:tags`) },
    }
    return { subject, close: async () => { await Promise.all(caches.map(cache => cache.close())) } }
  },
})

const rateDriver = (name: string, spaces = 1) => ({
  name,
  async open() {
    const namespaces = Array.from({ length: spaces }, () => redis.namespace())
    const [one, other] = [namespaces[0]!, namespaces.at(-1)!].map(namespace => openRedisRates({ url: redis.url, log: silentLogger, namespace, callMs: patientMs }))
    await Promise.all([one!.open(), other!.open()])
    return { subject: { one: one!, other: other! }, close: async () => { await Promise.all([one!.close(), other!.close()]) } }
  },
})

const sessionDriver = (name: string, wrap = (sessions: Sessions): Sessions => sessions, engine = () => state) => ({
  name, faults: ['restart'],
  async open() {
    const namespace = engine().namespace()
    const [one, other] = [0, 1].map(() => openRedisSessions({ url: engine().url, log: silentLogger, namespace, callMs: patientMs })) as [Sessions, Sessions]
    await Promise.all([one.open(), other.open()])
    return { subject: { one: wrap(one), other: wrap(other), restart: () => engine().restart() }, close: async () => { await Promise.all([one.close(), other.close()]) } }
  },
})

const measurementsDriver = {
  name: 'redis',
  faults: ['hang', 'cut'],
  async open() {
    const measurements = openRedisMeasurements({ url: redis.url, server: 'redis', log: silentLogger })
    const subject = {
      measurements,
      connections: async () => String(await redis.ask('CLIENT', 'LIST')).trim().split('\n').length - 1,
      hang: async () => { const resume = redis.hang(); return async () => resume() },
      cut: () => redis.cut(),
    }
    return { subject, close: () => measurements.close() }
  },
}

const options = { skip, timeout: 30_000 }
for (const one of verify(cacheSuite, cacheDriver('redis'))) test(one.name, options, () => one.run())
/** Where it hangs, its callers must not be patient. */
const hangs = (name: string) => name.endsWith('an engine that hangs is given up soon, and found again')
const impatientMs = 400
for (const one of [
  ...verify(sharedCacheSuite, sharedDriver('redis, shared')).filter(({ name }) => !hangs(name)),
  ...verify(sharedCacheSuite, sharedDriver('redis, shared', undefined, 1, impatientMs)).filter(({ name }) => hangs(name)),
]) test(one.name, options, () => one.run())
for (const one of verify(sessionSuite, sessionDriver('redis'))) test(one.name, options, () => one.run())
for (const one of [...verify(rateSuite, rateDriver('redis')), ...verify(measurementsSuite, measurementsDriver)]) test(one.name, { ...options, skip: skip || one.skip }, () => one.run())

test('rates in two namespaces that pass for one are found', options, async () => {
  const failed = await failures(verify(rateSuite, rateDriver('broken', 2)).filter(one => /of many at one moment|counted down/.test(one.name)))
  assert.equal(failed.length, 2)
})

test('what Redis measures of itself is what it has', options, async () => {
  const space = redis.namespace()
  const measurements = openRedisMeasurements({ url: redis.url, server: 'redis', log: silentLogger })
  const valueOf = async (name: string) => (await measurements.read(patientMs)).find(one => one.name === name)!.samples.map(sample => 'value' in sample ? sample.value : NaN)[0]!
  const [keys, hits, misses] = [await valueOf('tenfold_redis_keys'), await valueOf('tenfold_redis_hits_total'), await valueOf('tenfold_redis_misses_total')]
  await redis.ask('SET', `${space}:a`, '1')
  await redis.ask('GET', `${space}:a`)
  await redis.ask('GET', `${space}:b`)
  assert.deepEqual([await valueOf('tenfold_redis_keys'), await valueOf('tenfold_redis_hits_total'), await valueOf('tenfold_redis_misses_total')], [keys + 1, hits + 1, misses + 1])
  assert.equal(await valueOf('tenfold_redis_memory_limit_bytes'), 64 << 20)
  await measurements.close()
})

/** The driver with some of its methods replaced. */
function altered(cache: SharedCache, change: Partial<SharedCache>): SharedCache {
  const base: SharedCache = {
    get isUp() { return cache.isUp },
    open: () => cache.open(), close: () => cache.close(), begin: () => cache.begin(), get: key => cache.get(key), claim: (key, leaseMs) => cache.claim(key, leaseMs),
    set: one => cache.set(one), delete: key => cache.delete(key), invalidate: tags => cache.invalidate(tags), clear: () => cache.clear(), stats: () => cache.stats(),
  }
  return Object.assign(base, change)
}

/** A set as if it had begun just now. */
const forgetful: Wrap = cache => altered(cache, { set: async one => { await cache.get(one.key); return cache.set({ ...one, generation: cache.begin() }) } })
const everybodyReads: Wrap = cache => altered(cache, { claim: async (key, leaseMs) => ({ ...await cache.claim(key, leaseMs), mine: true }) })
const keepsLeases: Wrap = cache => altered(cache, { delete: async () => {} })
const forgetsAll: Wrap = cache => altered(cache, { invalidate: () => cache.clear() })
const waits: Wrap = cache => altered(cache, {
  async get(key) {
    const untilMs = monotonicMs() + 4_000
    for (;;) { try { return await cache.get(key) } catch (error) { if (monotonicMs() > untilMs) throw error; await sleep(20) } }
  },
})

const faults: readonly [Wrap, readonly string[], number?][] = [
  [forgetful, ['a set that one began does not bring back what the other invalidated or cleared', 'an engine that has forgotten everything refuses what was begun before', 'an engine that has forgotten its tags gives nothing from before']],
  [everybodyReads, ['of many who find nothing one reads, and the others find what it has set', 'what is stale is given, and one reads it anew']],
  [keepsLeases, ['who gives up, is refused, or takes too long makes room for the next']],
  [forgetsAll, ['many invalidations forget nothing that they do not name, and bring nothing back']],
]

for (const [wrap, checks] of faults) {
  test(`a shared cache that ${wrap.name} is found`, options, async () => {
    const cases = verify(sharedCacheSuite, sharedDriver('broken', wrap)).filter(one => checks.some(check => one.name.endsWith(check)))
    assert.equal((await failures(cases)).length, checks.length)
  })
}

test('a shared cache that waits for an engine that hangs is found', { skip, timeout: 60_000 }, async () => {
  const cases = verify(sharedCacheSuite, sharedDriver('broken', waits, 1, impatientMs)).filter(({ name }) => hangs(name))
  assert.equal((await failures(cases)).length, 1)
})

test('caches of two namespaces that pass for one are found', options, async () => {
  const failed = await failures(verify(sharedCacheSuite, sharedDriver('broken', undefined, 2)).filter(one => /what one sets|what one invalidates|of many/.test(one.name)))
  assert.equal(failed.length, 3)
})

/** Signs in anew instead of moving the session. */
const keepsTheOld = (sessions: Sessions): Sessions => ({ ...sessions, async rotate(_, newKey, claims) { await sessions.begin(newKey, { subject: 'jane', claims }, { idleMs: 3_600_000, absoluteMs: 3_600_000 }); return true } })

test('sessions whose old keys go on holding, and sessions in a Redis that keeps nothing, are found', options, async () => {
  const rotation = ['rotation takes the session along, and leaves nothing', 'what is not there is not rotated, and of many rotations at once one is']
  const failed = await failures(verify(sessionSuite, sessionDriver('broken', keepsTheOld)).filter(one => rotation.some(check => one.name.endsWith(check))))
  assert.equal(failed.length, 2)
  // It waits in vain for as long as it has patience: asked directly.
  const { subject, close } = await sessionDriver('broken', undefined, () => redis).open()
  await subject.one.begin('a', { subject: 'jane', claims: '{}' }, { idleMs: 3_600_000, absoluteMs: 3_600_000 })
  await subject.restart()
  let found: unknown
  for (found = undefined; found === undefined; await sleep(5)) found = await subject.one.use('a').catch(() => undefined)
  assert.equal(found, null)
  await close()
})
