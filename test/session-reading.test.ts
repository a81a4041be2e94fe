/** Where a read goes while the primary dies: it is refused as unavailable, and no promise that was given up ends the process. And what a start waits for. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fault } from '../src/base/errors.ts'
import { agreedNow, sleep } from '../src/base/time.ts'
import type { Projection } from '../src/model/projection.ts'
import type { Bus } from '../src/ports/bus.ts'
import type { Database } from '../src/ports/database.ts'
import { Session } from '../src/runtime/session.ts'
import { tokenCodec } from '../src/runtime/token.ts'

test('a reader that is chosen anew may have failed meanwhile', async () => {
  const gone = () => Promise.reject(fault('UNAVAILABLE', 'Postgres is not answering'))
  const database = { reader: gone, position: gone } as unknown as Database
  const bus = { caughtUp: async () => true } as unknown as Bus
  const session = new Session({ database, bus, tokens: tokenCodec(Buffer.alloc(32)) })
  const text = tokenCodec(Buffer.alloc(32)).encode({ epoch: 0, wroteAtMs: agreedNow(), positions: [{ shard: 0, timeline: 1, lsn: 1n }] })
  const unheard: unknown[] = []
  const onUnheard = (error: unknown) => unheard.push(error)
  process.on('unhandledRejection', onUnheard)
  const living = session.living(text)
  assert.ok(living)
  await assert.rejects(async () => session.reading('articles', { session: living, reads: [{ name: 'articles.authors' } as Projection], readsAt: undefined, isKept: true }), { code: 'UNAVAILABLE' })
  await sleep(10)
  process.off('unhandledRejection', onUnheard)
  assert.deepEqual(unheard, [])
})

test('read models are settled when each shows what was there when it was asked', async () => {
  const at = { shard: 0, timeline: 1, lsn: 7n }
  const asked: unknown[] = []
  const bus = { caughtUp: async (name: string, timeoutMs: number, position: unknown) => { asked.push([name, timeoutMs, position]); return name !== 'feed.entries' } } as unknown as Bus
  const session = new Session({ database: { position: async () => at } as unknown as Database, bus, tokens: tokenCodec(Buffer.alloc(32)) })
  const [authors, entries] = [{ name: 'articles.authors' }, { name: 'feed.entries' }] as Projection[]
  assert.equal(await session.isSettled([authors!], 100), true)
  assert.equal(await session.isSettled([authors!, entries!], 100), false)
  assert.deepEqual(asked.at(-1), ['feed.entries', 100, at])
})
