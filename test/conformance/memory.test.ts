/** The drivers in memory against their suites, and drivers with one fault each, which the suites must find. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cacheSuite, laggingCacheSuite } from '../../src/conformance/cache.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { rateSuite } from '../../src/conformance/rate.ts'
import { transportSuite } from '../../src/conformance/transport.ts'
import { openMemoryCache } from '../../src/drivers/memory/cache.ts'
import { openMemoryRates } from '../../src/drivers/memory/rate.ts'
import { openSerialisingTransport } from '../../src/drivers/memory/serialising-transport.ts'
import { openMemoryTransport } from '../../src/drivers/memory/transport.ts'
import type { Cache, CacheEntry } from '../../src/ports/cache.ts'
import type { Rates } from '../../src/ports/rate.ts'
import type { Receiver, Transport } from '../../src/ports/transport.ts'

const bytesMax = 100_000
const cacheDriver = (name: string, wrap = (cache: Cache): Cache => cache) => ({
  name,
  async open() {
    const cache = openMemoryCache({ bytesMax })
    await cache.open()
    return { subject: { cache: wrap(cache), bytesMax }, close: () => cache.close() }
  },
})
const transportDriver = (name: string, open: () => Transport) => ({
  name,
  async open() {
    const transport = open()
    await transport.open()
    return { subject: { transport }, close: () => transport.close() }
  },
})

const rateDriver = (name: string, open: () => { one: Rates; other: Rates }) => ({ name, open: async () => ({ subject: open(), close: async () => {} }) })

for (const one of [
  ...verify(rateSuite, rateDriver('memory', () => { const rates = openMemoryRates(); return { one: rates, other: rates } })),
  ...verify(cacheSuite, cacheDriver('memory')),
  ...verify(laggingCacheSuite, cacheDriver('memory')),
  ...verify(transportSuite, transportDriver('memory', openMemoryTransport)),
  ...verify(transportSuite, transportDriver('serialising', () => openSerialisingTransport({ retries: 1 }))),
]) test(one.name, { skip: one.skip }, one.run)

const found = (failed: readonly string[], check: string) => assert.ok(failed.some(name => name.endsWith(check)), `the suite did not find it; found: ${failed.join(', ')}`)

test('a cache that keeps what was invalidated while it was read is found', async () => {
  const forgetful = (cache: Cache): Cache => ({
    open: () => cache.open(), close: () => cache.close(), begin: () => cache.begin(), get: key => cache.get(key), delete: key => cache.delete(key),
    set: one => cache.set({ ...one, generation: cache.begin() }), invalidate: tags => cache.invalidate(tags), clear: () => cache.clear(), stats: () => cache.stats(),
  })
  found(await failures(verify(cacheSuite, cacheDriver('broken', forgetful))), 'a set begun before an invalidation does not bring the old value back')
})

test('a cache that gives what may lag as if it were true is found', async () => {
  const forgetful = (cache: Cache): Cache => ({
    open: () => cache.open(), close: () => cache.close(), begin: () => cache.begin(), delete: key => cache.delete(key), set: one => cache.set(one),
    get: key => { const entry = cache.get(key) as CacheEntry | null; return entry && { ...entry, isOutdated: false } },
    invalidate: tags => cache.invalidate(tags), clear: () => cache.clear(), stats: () => cache.stats(),
  })
  found(await failures(verify(laggingCacheSuite, cacheDriver('broken', forgetful))), 'what may lag stays when it is no longer true, marked, until its lag is over')
})

test('a transport that shares objects is found', async () => {
  const sharing = (): Transport => {
    const receivers = new Map<string, Receiver>()
    return {
      open: async () => {}, close: async () => {},
      serve(services, receiver) { for (const service of services) receivers.set(service, receiver) },
      call: call => receivers.get(call.intent.split('.')[0]!)!(call),
    }
  }
  const failed = await failures(verify(transportSuite, transportDriver('broken', sharing)))
  found(failed, 'callee and caller share no object')
  found(failed, 'the callee gets a caller of its own')
  found(failed, 'a value that contains itself is refused')
  found(failed, 'an output that JSON cannot carry is a fault of the callee')
  found(failed, 'what is no refusal arrives as INTERNAL, its cause for the log only')
  found(failed, 'a call without time left is not delivered')
})

test('a transport that gives each repeat the whole time is found', async () => {
  const patient = (): Transport => {
    const transport = openMemoryTransport()
    return { ...transport, call: async call => { await transport.call(call); return transport.call(call) } }
  }
  found(await failures(verify(transportSuite, transportDriver('broken', patient))), 'repeats share the time of the call')
})

test('rates that each process counts for itself are found', async () => {
  const failed = await failures(verify(rateSuite, rateDriver('broken', () => ({ one: openMemoryRates(), other: openMemoryRates() }))))
  found(failed, 'of many at one moment exactly the limit passes, wherever they arrive')
  found(failed, 'what remains is counted down, and told to both')
})

test('rates that charge for refusals, and that forget too much, are found', async () => {
  const greedy = (): Rates => {
    const [rates, debts] = [openMemoryRates(), new Map<string, number>()]
    return { ...rates, async take(name, policy) {
      const allowance = await rates.take(name, policy)
      if (allowance.allowed) return allowance
      debts.set(name, (debts.get(name) ?? 0) + policy.windowMs / policy.limit)
      return { ...allowance, retryMs: allowance.retryMs + debts.get(name)!, fullMs: allowance.fullMs + debts.get(name)! }
    }, async prune() { await rates.close() } }
  }
  const failed = await failures(verify(rateSuite, rateDriver('broken', () => { const rates = greedy(); return { one: rates, other: rates } })))
  found(failed, 'a refusal tells when the next one passes, and costs nothing')
  found(failed, 'pruning changes no answer')
})
