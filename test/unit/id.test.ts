/** Buckets, ids and handles. The vectors pin the hash: another value would send keys to other shards. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bucketCount, bucketOf, bucketOfHandle, bucketOfId, isId, newHandle, newId } from '../../src/base/id.ts'
import { installClock, systemClock } from '../../src/base/time.ts'

test('known keys hash to known buckets', () => {
  const vectors = { '': 2739, a: 424, 'customer-1': 3721, jake: 2921, Zürich: 2773, '💡': 2718 }
  for (const [key, bucket] of Object.entries(vectors)) assert.equal(bucketOf(key), bucket, JSON.stringify(key))
})

test('ids are unique, sort by their making and carry their bucket', () => {
  const ids = Array.from({ length: 50_000 }, (_, index) => newId(index % bucketCount))
  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual([...ids].sort(), ids)
  ids.forEach((id, index) => assert.ok(isId(id) && bucketOfId(id) === index % bucketCount, id))
})

test('ids stay in order when the clock goes back', () => {
  let atMs = Date.now() + 60_000
  const restore = installClock({ ...systemClock, now: () => atMs })
  try {
    const before = newId(7)
    atMs -= 30_000
    assert.ok(newId(7) > before)
  } finally {
    restore()
  }
})

test('handles carry every bucket, and what is none has no bucket', () => {
  for (let bucket = 0; bucket < bucketCount; bucket++) assert.equal(bucketOfHandle(newHandle(bucket)), bucket)
  for (const text of ['', 'short', '000000000000', 'l0000000000', 'A0000000000', 'zzz00000000']) assert.equal(bucketOfHandle(text), null, text)
})
