/**
 * Two tiers of kept answers over two processes and a real Redis: one reads for both, nothing
 * old stays anywhere, and what Redis could not be told is made good before it is used again.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { silentLogger } from '../src/base/log.ts'
import { sleep } from '../src/base/time.ts'
import { openMemoryBroadcast } from '../src/drivers/memory/broadcast.ts'
import { openMemoryCache } from '../src/drivers/memory/cache.ts'
import { openRedisCache } from '../src/drivers/redis/cache.ts'
import type { Broadcast } from '../src/ports/broadcast.ts'
import type { Position } from '../src/ports/database.ts'
import { Invalidation } from '../src/runtime/invalidation.ts'
import { QueryCache } from '../src/runtime/query-cache.ts'
import type { LivingToken, Reading, Session } from '../src/runtime/session.ts'
import { SharedTier } from '../src/runtime/shared-tier.ts'
import type { SharedTierOptions } from '../src/runtime/shared-tier.ts'
import type { Span } from '../src/runtime/span.ts'
import { skipWithout } from '../scripts/engines.ts'
import { patientMs, testRedis } from './support/redis.ts'
import type { TestRedis } from './support/redis.ts'

const skip = skipWithout('redis')
const options = { skip, timeout: 30_000 }
let redis: TestRedis
before(async () => { if (!skip) redis = await testRedis() })
after(() => redis?.close())

/** A database of one value, and how often it was read. */
class Source {
  value = 0
  reads = 0
  position = 1n
  delayMs = 0
  fails = false
  /** How often it was said that what is read from now on must be new, and how often before the last reading. */
  forgotten = 0
  forgottenBefore = 0
  async read(): Promise<unknown> {
    this.reads++
    if (this.fails) throw new Error('it fails')
    const { value } = this
    await sleep(this.delayMs)
    return { value }
  }
}

const at = (lsn: bigint): Position => ({ shard: 0, timeline: 1, lsn })
const sessionOf = (source: Source): Session => ({ floor: () => [at(source.position)], forget: () => { source.forgotten++ } }) as unknown as Session
const readingOf = (source: Source): Reading => {
  source.forgottenBefore = source.forgotten
  return { reader: { shows: null }, isOneOfSeveral: false } as unknown as Reading
}
const sessionThatSaw = (lsn: bigint): LivingToken => ({ text: `saw ${lsn}`, token: { epoch: 0, wroteAtMs: Date.now(), positions: [at(lsn)] } })

async function processOn(t: { after(close: () => unknown): void }, namespace: string, broadcast: Broadcast, source: Source, more: Partial<SharedTierOptions> & { readonly callMs?: number } = {}) {
  const shared = openRedisCache({ url: redis.url, log: silentLogger, namespace, callMs: more.callMs ?? patientMs })
  await shared.open()
  t.after(() => shared.close())
  const cache = openMemoryCache({ bytesMax: 100_000 })
  const tier = new SharedTier({ shared, log: silentLogger, ...more })
  const invalidation = new Invalidation({ cache, shared: tier, broadcast, log: silentLogger, gapMs: 0 })
  invalidation.listen()
  const queries = new QueryCache({ cache, shared: tier, session: sessionOf(source), invalidation, log: silentLogger })
  const ask = async (key = 'question', session: LivingToken | null = null, freshMs = 60_000): Promise<number> => {
    const span = { trace: { isRecording: false } } as unknown as Span
    const kept = await queries.answer({ key, freshness: { freshMs, staleMs: 60_000 } as never, reads: [], session, mayLag: false, meter: null, span, reading: () => readingOf(source), read: () => source.read(), tags: () => ['tag'] })
    return (JSON.parse(kept.value.toString()) as { value: number }).value
  }
  const write = async () => { source.value++; source.position += 10n; await invalidation.spread(['tag'], [`message ${source.value}`]) }
  return { shared, cache, tier, invalidation, ask, write }
}

async function twoProcesses(t: { after(close: () => unknown): void }, more?: Parameters<typeof processOn>[4]) {
  const [source, broadcast, namespace] = [new Source(), openMemoryBroadcast(), redis.namespace()]
  await broadcast.open()
  return { source, broadcast, namespace, one: await processOn(t, namespace, broadcast, source, more), other: await processOn(t, namespace, broadcast, source, more) }
}

test('of many in both processes one reads, and all are answered', options, async t => {
  const { source, one, other } = await twoProcesses(t)
  source.delayMs = 50
  const answers = await Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 ? one : other).ask()))
  assert.deepEqual([new Set(answers), source.reads], [new Set([0]), 1])
})

test('negative control: without leases both read', options, async t => {
  const { source, one, other } = await twoProcesses(t, { leases: false })
  source.delayMs = 100
  await Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 ? one : other).ask()))
  assert.equal(source.reads, 2)
})

test('who fails to read makes room for the next', options, async t => {
  const { source, one, other } = await twoProcesses(t)
  source.fails = true
  await assert.rejects(one.ask(), /it fails/)
  source.fails = false
  assert.equal(await other.ask(), 0)
})

test('what one writes neither gives any more, in the first tier or the second', options, async t => {
  const { source, one, other } = await twoProcesses(t)
  for (let round = 1; round <= 20; round++) {
    await Promise.all([one.ask(), other.ask()])
    await Promise.all([(round % 2 ? one : other).write(), other.ask(), one.ask()])
    assert.deepEqual([await one.ask(), await other.ask()], [source.value, source.value])
  }
})

test('a session is given nothing from before what it has seen, whoever has kept it', options, async t => {
  const { source, one, other } = await twoProcesses(t)
  assert.equal(await one.ask(), 0)
  source.value = 7
  source.position = 50n
  assert.equal(await other.ask(), 0, 'nobody has said that it is old')
  assert.equal(await other.ask('question', sessionThatSaw(40n)), 7)
  assert.equal(await one.ask('question', sessionThatSaw(40n)), 7, 'from the second tier, in place of the old one here')
  assert.equal(source.reads, 2)
})

test('what is stale is read anew by one, while the others are given it', options, async t => {
  const { source, one, other } = await twoProcesses(t)
  await one.ask('question', null, 1)
  await sleep(20)
  source.value = 1
  source.delayMs = 100
  const answers = await Promise.all([other.ask(), other.ask(), one.ask()])
  assert.ok(answers.every(answer => answer === 0 || answer === 1))
  while (await one.ask() !== 1) await sleep(5)
  assert.equal(source.reads, 2)
})

test('while Redis hangs answers are read without it, and what it was not told it does not give afterwards', options, async t => {
  const { source, one, other } = await twoProcesses(t, { callMs: 100 })
  await Promise.all([one.ask(), other.ask()])
  const resume = redis.hang()
  try {
    await one.write()
    assert.deepEqual([await one.ask(), await other.ask()], [1, 1])
    assert.equal(one.tier.isUp, false)
  } finally { resume() }
  while (!await one.tier.settle() || !await other.tier.settle()) await sleep(10)
  assert.equal(await one.ask('another'), 1)
  // The first tiers forget: only the second is left to tell.
  await Promise.all([one.cache.clear(), other.cache.clear()])
  assert.deepEqual([await one.ask(), await other.ask()], [source.value, source.value])
})

test('negative control: what was owed and is not paid is given afterwards', options, async t => {
  const { one, namespace, source } = await twoProcesses(t, { callMs: 100 })
  await one.ask()
  // A process whose writes nobody tells Redis.
  const deaf = await processOn(t, namespace, openMemoryBroadcast(), source, { callMs: 100 })
  deaf.tier.forget = async () => true
  await deaf.write()
  await one.cache.clear()
  assert.equal(await one.ask(), 0)
})

test('who starts while Redis is away uses nothing of what it had', options, async t => {
  const { source, one, broadcast, namespace } = await twoProcesses(t)
  await one.ask()
  const resume = redis.hang()
  const late = await processOn(t, namespace, broadcast, source, { callMs: 100 }).finally(resume)
  assert.equal(late.tier.isUp, false)
  source.value = 5
  while (!await late.tier.settle()) await sleep(10)
  assert.equal(await late.ask(), 5)
})

test('what is read once the second tier has forgotten must be new, though the broadcast has not been heard', options, async t => {
  const [source, namespace] = [new Source(), redis.namespace()]
  const [here, there] = [openMemoryBroadcast(), openMemoryBroadcast()]
  await Promise.all([here.open(), there.open()])
  const [one, other] = [await processOn(t, namespace, here, source), await processOn(t, namespace, there, source)]
  await one.ask()
  const before = source.forgotten
  await one.ask('another')
  assert.equal(source.forgottenBefore, before)
  await other.write()
  await one.ask('a third')
  assert.ok(source.forgottenBefore > before)
})
