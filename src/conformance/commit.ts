/** Checks of the database: transactions of several keys of one shard, and what a commit tells. */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import { bucketOf } from '../base/id.ts'
import { limits } from '../base/limits.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Database, Position, Transaction } from '../ports/database.ts'
import type { Suite } from './check.ts'

const bucket = bucketOf('customer-1')

const write = (database: Database, work: (transaction: Transaction) => Promise<void>, own: number | null = bucket): Promise<void> =>
  database.transaction({ service: 'alpha', bucket: own, deadlineMonotonicMs: monotonicMs() + 8_000 }, work)
/** More transactions than any driver runs at once. */
const connectionsBeyond = 64
const refusable = (database: Database): Promise<void> =>
  database.transaction({ service: 'alpha', bucket, deadlineMonotonicMs: monotonicMs() + 5_000, mayBeRefused: true }, async transaction => { await transaction.query(insert('refusable', bucket)) })
const insert = (id: string, at: number) => ({ text: 'INSERT INTO item (bucket, id) VALUES ($1, $2)', values: [at, id] })

export const commitChecks: Suite<{ readonly database: Database }>['checks'] = {
  async 'what is sent without waiting is there, in order'({ database }) {
    await write(database, async transaction => {
      transaction.send(insert('a', bucket))
      transaction.send({ text: `UPDATE item SET note = 'sent' WHERE bucket = $1 AND id = $2`, values: [bucket, 'a'] })
      const { rows } = await transaction.query<{ note: string }>({ text: 'SELECT note FROM item WHERE bucket = $1 AND id = $2', values: [bucket, 'a'] })
      assert.equal(rows[0]!.note, 'sent')
      transaction.send(insert('b', bucket))
    })
    assert.equal((await database.query<{ n: number }>('alpha', { text: 'SELECT count(*) AS n FROM item', values: [] })).rows[0]!.n, 2)
  },
  async 'what fails without anybody waiting fails the transaction, with its own error'({ database }) {
    const isDuplicate = (error: unknown) => (error as { code?: string }).code === '23505' || assert.fail(String(error))
    await write(database, async transaction => { transaction.send(insert('a', bucket)) })
    await assert.rejects(write(database, async transaction => {
      transaction.send(insert('b', bucket))
      transaction.send(insert('a', bucket))
    }), isDuplicate)
    await assert.rejects(write(database, async transaction => {
      transaction.send(insert('a', bucket))
      await sleep(20)
    }), isDuplicate)
    const endless: { self?: unknown } = {}
    endless.self = endless
    await assert.rejects(write(database, async transaction => {
      transaction.send(insert('c', bucket))
      transaction.send({ text: 'INSERT INTO item (bucket, id, note) VALUES ($1, $2, $3)', values: [bucket, 'd', endless] })
    }))
    await assert.rejects(write(database, async transaction => { transaction.send(insert('e', bucket + 1)) }), /this transaction owns bucket/)
    assert.equal((await database.query<{ n: number }>('alpha', { text: 'SELECT count(*) AS n FROM item', values: [] })).rows[0]!.n, 1)
  },
  async 'what follows enter belongs to the bucket entered, and only to it'({ database }) {
    await write(database, async transaction => {
      await transaction.query(insert('a', bucket))
      transaction.enter(bucket + 1)
      assert.equal(transaction.bucket, bucket + 1)
      await transaction.query(insert('b', bucket + 1))
    })
    const { rows } = await database.query<{ id: string }>('alpha', { text: 'SELECT id FROM item ORDER BY id', values: [] })
    assert.deepEqual(rows.map(row => row.id), ['a', 'b'])
    await assert.rejects(write(database, async transaction => {
      transaction.enter(bucket + 1)
      await transaction.query(insert('c', bucket))
    }), (error: Error) => (error.cause as { code?: string } | undefined)?.code === 'TF002' && !isTenfoldError(error) || assert.fail(`expected TF002, got ${String(error)}`))
    await assert.rejects(write(database, async transaction => { transaction.enter(bucket) }, null))
  },
  async 'a statement that comes after the end is refused, and changes nothing'({ database }) {
    const kept: Transaction[] = []
    await write(database, async transaction => {
      kept.push(transaction)
      await transaction.query(insert('a', bucket))
    })
    await write(database, async transaction => {
      kept.push(transaction)
      throw new Error('given up')
    }).catch(() => {})
    // Others may have the connections by now.
    await write(database, async transaction => {
      await transaction.query(insert('b', bucket))
      for (const ended of kept) await assert.rejects(ended.query(insert('late', bucket)))
    })
    const { rows } = await database.query<{ id: string }>('alpha', { text: 'SELECT id FROM item ORDER BY id', values: [] })
    assert.deepEqual(rows.map(row => row.id), ['a', 'b'])
  },
  async 'what another call has remembered first is not done again, though nobody waits to hear that'({ database }) {
    const call = (id: string) => write(database, async transaction => {
      await transaction.query(insert(id, bucket))
      transaction.remember('create', 'k', { fingerprint: 'f', answer: id }).catch(() => {})
    })
    await call('a')
    await assert.rejects(call('b'))
    const { rows } = await database.query<{ id: string }>('alpha', { text: 'SELECT id FROM item', values: [] })
    assert.deepEqual(rows.map(row => row.id), ['a'])
  },
  async 'a transaction tells a position that covers it, and none before it has committed'({ database }) {
    const before = await database.position()
    let told = false
    const committed = Promise.withResolvers<Position | null>()
    await write(database, async transaction => {
      void transaction.committed().then(position => { told = true; committed.resolve(position) })
      await transaction.query(insert('a', bucket))
      await transaction.query(insert('b', bucket))
      assert.equal(told, false)
    })
    const position = await committed.promise
    const after = await database.position()
    assert.ok(position !== null && position.timeline >= 1 && position.lsn > before.lsn && position.lsn <= after.lsn)
  },
  async 'while connections are short, who may be refused is refused soon; the others wait and get theirs'({ database }) {
    let isFull = true
    const crowd = Array.from({ length: connectionsBeyond }, async (_, index) => {
      for (let turn = 0; isFull || turn === 0; turn++) {
        await write(database, async transaction => {
          await transaction.query(insert(`crowd-${index}-${turn}`, bucket))
          await sleep(100)
        })
      }
    })
    // It is no burst any more.
    await sleep(limits.burstMs + 200)
    const startedAtMs = monotonicMs()
    const early = await refusable(database).then(() => 'done', (error: unknown) => isTenfoldError(error) ? error.code : error)
    const tookMs = monotonicMs() - startedAtMs
    isFull = false
    await Promise.all(crowd)
    assert.equal(early, 'OVERLOADED')
    assert.ok(tookMs <= limits.burstMs + 500, `after ${tookMs} ms`)
    await refusable(database)
  },
  async 'while none is given back, everybody waits: the server may be away'({ database }) {
    const held = Promise.withResolvers<void>()
    const crowd = Array.from({ length: connectionsBeyond }, (_, index) => write(database, async transaction => {
      await transaction.query(insert(`crowd-${index}`, bucket))
      await held.promise
    }))
    await sleep(300)
    const waiting = refusable(database).then(() => 'done', (error: unknown) => error)
    await Promise.race([sleep(limits.burstMs + 500), waiting])
    held.resolve()
    await Promise.all(crowd)
    assert.equal(await waiting, 'done')
    const { rows } = await database.query<{ id: string }>('alpha', { text: 'SELECT id FROM item ORDER BY id', values: [] })
    assert.equal(rows.length, connectionsBeyond + 1)
  },
}
