/**
 * Answers that may lag: given to nobody in particular for a bounded time after a change, read
 * anew rarely however often they change, and never given to a session or a caller.
 */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { silentLogger } from '../src/base/log.ts'
import { installClock, systemClock } from '../src/base/time.ts'
import { openMemoryBroadcast } from '../src/drivers/memory/broadcast.ts'
import { openMemoryCache } from '../src/drivers/memory/cache.ts'
import { freshnessFaults } from '../src/model/freshness.ts'
import { Invalidation } from '../src/runtime/invalidation.ts'
import { QueryCache } from '../src/runtime/query-cache.ts'
import type { LivingToken, Reading, Session } from '../src/runtime/session.ts'
import type { Span } from '../src/runtime/span.ts'

const lagMs = 1_000
let nowMs = 0
let restore = () => {}
beforeEach(() => {
  nowMs = 1e12
  restore = installClock({ ...systemClock, now: () => nowMs })
})
afterEach(() => restore())

const positionOf = (lsn: number) => ({ shard: 0, timeline: 1, lsn: BigInt(lsn) })
const sessionThatSaw = (lsn: number): LivingToken => ({ text: `saw ${lsn}`, token: { epoch: 0, wroteAtMs: nowMs, positions: [positionOf(lsn)] } })

interface Asking { readonly session?: LivingToken | null; readonly mayLag?: boolean }

/** One process that keeps the answer to one question: how often it has been changed. */
async function open(more: { readonly lags?: boolean } = {}) {
  const broadcast = openMemoryBroadcast()
  await broadcast.open()
  const cache = openMemoryCache({ bytesMax: 100_000 })
  const invalidation = new Invalidation({ cache, broadcast, log: silentLogger, gapMs: 0 })
  invalidation.listen()
  const source = { value: 0, reads: 0, onRead: async () => {} }
  const session = { floor: () => [positionOf(source.value)], forget: () => {} } as unknown as Session
  const queries = new QueryCache({ cache, session, invalidation, log: silentLogger, ...more })
  const span = { trace: { isRecording: false } } as unknown as Span
  const ask = async ({ session = null, mayLag = session === null }: Asking = {}): Promise<number> => {
    const kept = await queries.answer({
      key: 'question', freshness: { freshMs: 60_000, lagMs }, reads: [], session, mayLag, meter: null, span, tags: () => ['tag'],
      reading: () => ({ reader: { shows: null }, isOneOfSeveral: false }) as unknown as Reading,
      read: async () => {
        source.reads++
        const { value } = source
        await source.onRead()
        return { value }
      },
    })
    return (JSON.parse(kept.value.toString()) as { value: number }).value
  }
  const write = async () => { source.value++; await invalidation.spread(['tag'], [`message ${source.value}`]) }
  return { source, ask, write, queries }
}

const settled = () => new Promise(resolve => { setImmediate(resolve) })

test('what was read a moment ago is given to nobody in particular, and read anew by one for all', async () => {
  const { source, ask, write, queries } = await open()
  assert.equal(await ask(), 0)
  await write()
  nowMs += lagMs / 2 - 1
  assert.deepEqual([await ask(), source.reads], [0, 1])
  assert.ok(queries.peek('question'), 'the short way gives it too')
  nowMs += 1
  assert.equal(queries.peek('question'), null, 'but somebody must ask')
  const reading = Promise.withResolvers<void>()
  source.onRead = () => reading.promise
  assert.deepEqual([await ask(), await ask(), source.reads], [0, 0, 2])
  assert.ok(queries.peek('question'), 'it is being read')
  reading.resolve()
  await settled()
  assert.deepEqual([await ask(), source.reads], [1, 2])
})

test('what was read longer ago than its lag is exact', async () => {
  const { source, ask, write, queries } = await open()
  await ask()
  nowMs += lagMs
  await write()
  assert.equal(queries.peek('question'), null)
  assert.deepEqual([await ask(), source.reads], [1, 2])
})

test('a lag ends although nobody has asked meanwhile', async () => {
  const { source, ask, write } = await open()
  await ask()
  await write()
  nowMs += lagMs
  assert.deepEqual([await ask(), source.reads], [1, 2])
})

test('neither a session nor a caller is given it', async () => {
  for (const asking of [() => ({ session: sessionThatSaw(1) }), () => ({ session: sessionThatSaw(0) }), () => ({ mayLag: false })]) {
    const { source, ask, write } = await open()
    await ask()
    await write()
    assert.equal(await ask(asking()), 1)
    assert.equal(source.reads, 2)
    assert.equal(await ask(), 1, 'and what was read for them serves all')
  }
})

test('what changes while it is read lags from the beginning, and is not read again by each', async () => {
  const { source, ask, write, queries } = await open()
  source.onRead = write
  await ask()
  source.onRead = async () => {}
  assert.deepEqual([await ask(), source.reads], [0, 1])
  assert.ok(queries.peek('question'))
  assert.equal(await ask({ mayLag: false }), 1)
})

/** Changed every 7 ms for ten seconds, and asked for after each change. */
async function storm(more: { readonly lags?: boolean }) {
  const { source, ask, write } = await open(more)
  const changedAtMs: number[] = []
  let behindMs = 0
  const end = nowMs + 10_000
  while (nowMs < end) {
    changedAtMs.push(nowMs)
    await write()
    nowMs += 7
    const shown = await ask()
    // The first change that it does not show was so long ago.
    if (shown < source.value) behindMs = Math.max(behindMs, nowMs - changedAtMs[shown]!)
    await settled()
  }
  return { reads: source.reads, writes: source.value, behindMs }
}

test('however often it changes, it is read at most twice in each lag, and never further behind', async t => {
  const { reads, writes, behindMs } = await storm({})
  t.diagnostic(`${reads} reads for ${writes} changes, at most ${behindMs} ms behind`)
  assert.ok(reads <= 2 * 10_000 / lagMs + 1, `${reads} reads`)
  assert.ok(behindMs > 0 && behindMs <= lagMs, `${behindMs} ms`)
})

test('negative control: where nothing may lag it is read after each change', async () => {
  const { reads, writes, behindMs } = await storm({ lags: false })
  assert.deepEqual([reads, behindMs], [writes, 0])
})

test('a lag that nothing could have is refused', () => {
  assert.deepEqual(freshnessFaults({ freshMs: 1_000, lagMs: 1_000 }), [])
  assert.match(freshnessFaults({ freshMs: 1_000, lagMs: 2_000 })[0]!, /make it at most 1000/)
  assert.match(freshnessFaults({ freshMs: 1_000, lagMs: -1 })[0]!, /at least 0/)
})
