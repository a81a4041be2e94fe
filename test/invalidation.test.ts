/** What the outbox brings is said again only where nobody has heard it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../src/base/log.ts'
import { openMemoryBroadcast } from '../src/drivers/memory/broadcast.ts'
import { openMemoryCache } from '../src/drivers/memory/cache.ts'
import type { Broadcast } from '../src/ports/broadcast.ts'
import { Invalidation, invalidatedMessage } from '../src/runtime/invalidation.ts'

const note = (tags: readonly string[]) => ({ freshUntilMs: Number.MAX_SAFE_INTEGER, positions: [], readFor: null, etag: '"e"', refusal: false, tags })

/** Two processes on one broadcast, whose caches know an answer with the tag `a`. */
async function twoProcesses(broadcast: Broadcast) {
  await broadcast.open()
  const processes = [0, 1].map(() => {
    const cache = openMemoryCache({ bytesMax: 100_000 })
    const invalidation = new Invalidation({ cache, broadcast, log: silentLogger })
    invalidation.listen()
    return { cache, invalidation }
  })
  const keep = async () => {
    for (const { cache } of processes) await cache.set({ key: 'answer', value: Buffer.from('1'), note: note(['a']), ttlMs: 60_000, generation: cache.begin() })
  }
  const kept = () => processes.map(({ cache }) => cache.get('answer') !== null)
  await keep()
  return { web: processes[0]!.invalidation, worker: processes[1]!.invalidation, keep, kept }
}

const message = () => invalidatedMessage('alpha', 1, ['a', 'b'])

test('tags that were broadcast are not said again, and what was read meanwhile stays', async () => {
  const { web, worker, keep, kept } = await twoProcesses(openMemoryBroadcast())
  const one = message()
  await web.spread(['a', 'b'], [one.id])
  assert.deepEqual(kept(), [false, false])
  await keep()
  await worker.repeat([one])
  assert.deepEqual(kept(), [true, true])
})

test('tags whose sender died before it could tell them are', async () => {
  const { worker, kept } = await twoProcesses(openMemoryBroadcast())
  await worker.repeat([message()])
  assert.deepEqual(kept(), [false, false])
})

test('tags that could not be sent are', async () => {
  const memory = openMemoryBroadcast()
  let fails = true
  const broadcast: Broadcast = { ...memory, hearing: true, send: (topic, text) => fails ? Promise.reject(new Error('down')) : memory.send(topic, text) }
  const { web, worker, kept } = await twoProcesses(broadcast)
  const one = message()
  await web.spread(['a', 'b'], [one.id])
  assert.deepEqual(kept(), [false, true])
  fails = false
  await worker.repeat([one])
  assert.deepEqual(kept(), [false, false])
})

test('tags in more than one text, or too many to name, still reach everybody, and are repeated', async () => {
  for (const count of [2_000, 40_000]) {
    const { web, worker, keep, kept } = await twoProcesses({ ...openMemoryBroadcast(), hearing: true, bytesMax: 7_800 })
    const tags = ['a', ...Array.from({ length: count }, (_, index) => `tag-${index}`)]
    const one = invalidatedMessage('alpha', 1, tags)
    await web.spread(tags, [one.id])
    assert.deepEqual(kept(), [false, false])
    await keep()
    await worker.repeat([one])
    assert.deepEqual(kept(), [false, false])
  }
})
