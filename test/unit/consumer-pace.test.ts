/** When a consumer looks again: what it costs a batch to be taken is shared by more, the more there are; who waits is not kept waiting. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { installClock, systemClock } from '../../src/base/time.ts'
import { ConsumerPace } from '../../src/drivers/postgres/consumer-pace.ts'

/** The lengths of the pauses that `work` makes; each is over at once. */
async function pausesOf(work: () => Promise<void>): Promise<number[]> {
  const pauses: number[] = []
  const restore = installClock({ ...systemClock, after(delayMs, callback) { pauses.push(delayMs); queueMicrotask(callback); return () => {} } })
  try { await work() } finally { restore() }
  return pauses
}

const pace = (isAwaited: () => boolean, mayGrow: boolean) => new ConsumerPace(new AbortController().signal, isAwaited, 5, mayGrow)

test('rests grow while batches are large, and shrink with them', async () => {
  const grows = pace(() => false, true)
  assert.deepEqual(await pausesOf(async () => { for (const messages of [1, 2, 20, 20, 20, 20, 15, 1, 20]) await grows.restAfter(messages) }), [5, 50, 100, 200, 200, 200, 50, 5, 100])
  const stays = pace(() => false, false)
  assert.deepEqual(await pausesOf(async () => { for (const messages of [1, 20, 20]) await stays.restAfter(messages) }), [5, 50, 50])
})

test('who waits for it keeps it from resting, and ends a rest that has begun', async () => {
  let isAwaited = true
  const one = pace(() => isAwaited, true)
  assert.deepEqual(await pausesOf(() => one.restAfter(20)), [])
  isAwaited = false
  const resting = one.restAfter(20)
  one.hurry()
  await resting
})
