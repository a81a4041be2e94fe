/** What every driver of the database port must do: behaviour, concurrency, faults, lifecycle, limits. */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { bucketOf, newId } from '../base/id.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Database, Message, ServiceSchema, Transaction } from '../ports/database.ts'
import { suite } from './check.ts'
import { commitChecks } from './commit.ts'
import { readerChecks } from './readers.ts'
import { ownershipChecks } from './row-ownership.ts'

export interface DatabaseSubject {
  /** Open and migrated with `databaseSchemas`. */
  readonly database: Database
  /** Fault 'restart': the engine goes away and comes back. */
  restart?(): Promise<void>
  /** Fault 'cut': every connection of the driver is cut by the engine. */
  cut?(): Promise<void>
  /** Fault 'lag': no replica replays anything any more, until the returned function is called. */
  lag?(): Promise<() => Promise<void>>
}

const migration = (number: number, name: string, sql: string) => ({ number, name, sql, checksum: `${name} ${sql.length}` })

/** The schemas a subject is migrated with: two services of one shape. */
export const databaseSchemas: readonly ServiceSchema[] = ['alpha', 'beta'].map(service => ({
  service, reference: ['unit'],
  migrations: [migration(1, '0001-item.sql', `
    CREATE TABLE item (bucket smallint NOT NULL, id text NOT NULL, amount int NOT NULL DEFAULT 0, note text, PRIMARY KEY (bucket, id));
    CREATE TABLE unit (name text PRIMARY KEY);`)],
}))

const bucket = bucketOf('customer-1')
const scope = (ownBucket: number | null = bucket, lifeMs = 8_000) => ({ service: 'alpha', bucket: ownBucket, deadlineMonotonicMs: monotonicMs() + lifeMs })
const insert = (id: string, amount = 0, at = bucket) => ({ text: 'INSERT INTO item (bucket, id, amount) VALUES ($1, $2, $3)', values: [at, id, amount] })
const select = (id: string) => ({ text: 'SELECT amount FROM item WHERE bucket = $1 AND id = $2', values: [bucket, id] })
const add = (id: string) => ({ text: 'UPDATE item SET amount = amount + 1 WHERE bucket = $1 AND id = $2', values: [bucket, id] })

const write = <T>(database: Database, work: (transaction: Transaction) => Promise<T>, at = scope()): Promise<T> => database.transaction(at, work)
const amountOf = async (database: Database, id: string): Promise<number | undefined> => (await database.query<{ amount: number }>('alpha', select(id))).rows[0]?.amount

async function rejectsWith(code: ErrorCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, error => isTenfoldError(error) && error.code === code || assert.fail(`expected ${code}, got ${String(error)}`))
}

async function refused(promise: Promise<unknown>, sqlState: string): Promise<void> {
  await assert.rejects(promise, (error: Error & { code?: string }) => {
    const state = error.code === sqlState || (error.cause as { code?: string } | undefined)?.code === sqlState
    return state && !isTenfoldError(error) || assert.fail(`expected ${sqlState} as a programming error, got ${String(error)}`)
  })
}

async function eventually(work: () => Promise<unknown>, withinMs = 10_000): Promise<void> {
  const endMs = monotonicMs() + withinMs
  for (;;) {
    try { await work(); return } catch (error) {
      if (monotonicMs() > endMs) throw error
      await sleep(50)
    }
  }
}

const message = (key: string): Message => ({ id: newId(bucketOf(key)), kind: 'event', name: 'alpha.changed', key, bucket: bucketOf(key), payload: { key, quote: '"\\{},' }, atMs: 1_700_000_000_000 })

/** A promise and its way out, to hold a transaction open. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  let open = () => {}
  return { passed: new Promise(resolve => { open = resolve }), open: () => open() }
}

export const databaseSuite = suite<DatabaseSubject>('database', {
  async 'a committed row is read'({ database }) {
    await write(database, transaction => transaction.query(insert('a', 7)))
    assert.equal(await amountOf(database, 'a'), 7)
  },
  async 'affected counts writes only'({ database }) {
    await write(database, async transaction => {
      assert.equal((await transaction.query(insert('a'))).affected, 1)
      assert.equal((await transaction.query(add('missing'))).affected, 0)
    })
  },
  async 'a rejected transaction leaves nothing'({ database }) {
    await assert.rejects(write(database, async transaction => {
      await transaction.query(insert('a'))
      await transaction.append([message('customer-1')])
      throw new Error('no')
    }), /no/)
    assert.equal(await amountOf(database, 'a'), undefined)
  },
  async 'a transaction is invisible until it commits'({ database }) {
    await write(database, async transaction => {
      await transaction.query(insert('a'))
      assert.equal(await amountOf(database, 'a'), undefined)
    })
  },
  async 'a failure that the work swallowed still rejects'({ database }) {
    await write(database, transaction => transaction.query(insert('a')))
    await assert.rejects(write(database, async transaction => {
      await transaction.query(insert('b'))
      await transaction.query(insert('a')).catch(() => {})
    }))
    assert.equal(await amountOf(database, 'b'), undefined)
  },
  async 'a violated constraint keeps its code'({ database }) {
    await write(database, transaction => transaction.query(insert('a')))
    await refused(write(database, transaction => transaction.query(insert('a'))), '23505')
  },
  async 'a row of another bucket is refused on insert, update and delete'({ database }) {
    await write(database, transaction => transaction.query(insert('far', 0, bucket + 1)), scope(bucket + 1))
    await refused(write(database, transaction => transaction.query(insert('x', 0, bucket + 1))), 'TF002')
    for (const text of [`UPDATE item SET amount = 1 WHERE id = 'far'`, `DELETE FROM item WHERE id = 'far'`]) {
      await refused(write(database, transaction => transaction.query({ text, values: [] })), 'TF002')
    }
  },
  async 'a row of another bucket cannot be moved into the own one'({ database }) {
    await write(database, transaction => transaction.query(insert('far', 0, bucket + 1)), scope(bucket + 1))
    await refused(write(database, transaction => transaction.query({ text: `UPDATE item SET bucket = ${bucket} WHERE id = 'far'`, values: [] })), 'TF002')
  },
  async 'a transaction without a bucket spans keys, also after one with a bucket'({ database }) {
    await write(database, transaction => transaction.query(insert('a')))
    await write(database, async transaction => {
      await transaction.query(insert('b'))
      await transaction.query(insert('c', 0, bucket + 1))
    }, scope(null))
  },
  async 'another service\'s schema cannot be touched'({ database }) {
    await refused(database.query('alpha', { text: 'SELECT * FROM beta.item', values: [] }), '42501')
    await refused(write(database, transaction => transaction.query({ text: `INSERT INTO beta.item (bucket, id) VALUES (${bucket}, 'x')`, values: [] })), '42501')
    await refused(database.query('alpha', { text: 'SET ROLE tenfold_beta', values: [] }).catch(error => { if (error.code === '22023') error.code = '42501'; throw error }), '42501')
    await refused(database.query('alpha', { text: 'SELECT * FROM tenfold.meta', values: [] }), '42501')
    await refused(database.query('alpha', { text: 'CREATE TABLE mine (id int)', values: [] }), '42501')
  },
  ...ownershipChecks,
  async 'a claim has one owner until it is given back'({ database }) {
    const claim = (owner: string) => write(database, transaction => transaction.claim({ scope: 'username', value: 'jake', owner }))
    await claim('1')
    await claim('1')
    await assert.rejects(claim('2'), error => isTenfoldError(error) && error.code === 'CONFLICT' && error.fields?.username?.[0] === 'has already been taken')
    assert.equal(await database.claimed('alpha', 'username', 'jake'), '1')
    await write(database, transaction => transaction.unclaim({ scope: 'username', value: 'jake', owner: '2' }))
    assert.equal(await database.claimed('alpha', 'username', 'jake'), '1')
    await write(database, transaction => transaction.unclaim({ scope: 'username', value: 'jake', owner: '1' }))
    assert.equal(await database.claimed('alpha', 'username', 'jake'), null)
  },
  async 'claims of different services do not meet'({ database }) {
    await write(database, transaction => transaction.claim({ scope: 'name', value: 'x', owner: '1' }))
    assert.equal(await database.claimed('beta', 'name', 'x'), null)
  },
  async 'a remembered answer is recalled once committed'({ database }) {
    const remembered = { fingerprint: 'f', answer: { list: [1, null, 'x'] } }
    await write(database, transaction => transaction.remember('create', 'k', remembered))
    assert.deepEqual(await write(database, transaction => transaction.recall('create', 'k')), remembered)
    assert.equal(await write(database, transaction => transaction.recall('create', 'other')), null)
  },
  async 'an inbox passes each message once per consumer'({ database }) {
    const messages = [message('a'), message('b')]
    const seen = (consumer: string) => write(database, transaction => transaction.firstSeen(consumer, messages))
    assert.deepEqual(await seen('one'), new Set(messages.map(one => one.id)))
    assert.equal((await seen('one')).size, 0)
    assert.equal((await seen('two')).size, 2)
  },
  async 'many messages are appended at once'({ database }) {
    await write(database, async transaction => {
      await transaction.append([])
      await transaction.append(Array.from({ length: 300 }, (_, index) => message(`key-${index}`)))
    })
  },

  async 'concurrent increments all count'({ database }) {
    await write(database, transaction => transaction.query(insert('a')))
    await Promise.all(Array.from({ length: 50 }, () => write(database, transaction => transaction.query(add('a')))))
    assert.equal(await amountOf(database, 'a'), 50)
  },
  async 'of concurrent claims one wins'({ database }) {
    const results = await Promise.allSettled(Array.from({ length: 8 }, (_, index) =>
      write(database, transaction => transaction.claim({ scope: 'email', value: 'a@b', owner: `${index}` }))))
    assert.equal(results.filter(one => one.status === 'fulfilled').length, 1)
    for (const one of results) if (one.status === 'rejected') assert.equal(one.reason.code, 'CONFLICT')
  },
  async 'of concurrent calls with one key the second is in flight'({ database }) {
    const results = await Promise.allSettled(['1', '2'].map(answer => write(database, transaction => transaction.remember('create', 'k', { fingerprint: 'f', answer }))))
    const failed = results.filter(one => one.status === 'rejected')
    assert.equal(failed.length, 1)
    assert.equal(failed[0]!.reason.code, 'IDEMPOTENCY_IN_FLIGHT')
  },
  async 'a dead lock rejects retryably'({ database }) {
    await write(database, async transaction => { await transaction.query(insert('a')); await transaction.query(insert('b')) })
    const both = [gate(), gate()]
    const results = await Promise.allSettled(['a', 'b'].map((id, index) => write(database, async transaction => {
      await transaction.query(add(id))
      both[index]!.open()
      await Promise.all(both.map(one => one.passed))
      await transaction.query(add(id === 'a' ? 'b' : 'a'))
    })))
    const failed = results.filter(one => one.status === 'rejected')
    assert.equal(failed.length, 1)
    assert.equal(failed[0]!.reason.code, 'UNAVAILABLE')
  },
  async 'migrating at once from several callers is safe'({ database }) {
    const reports = await Promise.all(Array.from({ length: 4 }, () => database.migrate(databaseSchemas)))
    for (const report of reports) assert.deepEqual(report.applied, [])
  },
  async 'a position covers what was acknowledged and grows'({ database }) {
    const before = await database.position()
    await write(database, transaction => transaction.query(insert('a')))
    const [first, second] = await Promise.all([database.position(), database.position()])
    assert.ok(first.lsn > before.lsn && second.lsn >= first.lsn && first.timeline >= 1)
  },
  ...commitChecks,
  ...readerChecks,

  'a restart heals by itself': {
    fault: 'restart',
    async run({ database, restart }) {
      await write(database, transaction => transaction.query(insert('a', 1)))
      await restart!()
      await eventually(async () => {
        assert.equal(await amountOf(database, 'a'), 1)
        await write(database, transaction => transaction.query(add('a')))
      })
      assert.ok(await database.healthy())
    },
  },
  'a connection cut before COMMIT rejects retryably and leaves nothing': {
    fault: 'cut',
    async run({ database, cut }) {
      await rejectsWith('UNAVAILABLE', write(database, async transaction => {
        await transaction.query(insert('a'))
        await cut!()
        await transaction.query(insert('b'))
      }))
      await eventually(async () => assert.equal(await amountOf(database, 'a'), undefined))
    },
  },
  'a connection cut at COMMIT has an unknown outcome': {
    fault: 'cut',
    async run({ database, cut }) {
      await rejectsWith('OUTCOME_UNKNOWN', write(database, async transaction => {
        await transaction.query(insert('a'))
        await cut!()
      }))
    },
  },

  async 'close waits for running work, twice, and refuses what comes later'({ database }) {
    const started = gate()
    const slow = write(database, async transaction => {
      await transaction.query(insert('a'))
      started.open()
      await sleep(100)
      await transaction.query(insert('b'))
      return 'done'
    })
    await started.passed
    const closing = database.close()
    assert.equal(await slow, 'done')
    await Promise.all([closing, database.close()])
    await rejectsWith('UNAVAILABLE', amountOf(database, 'a'))
    await rejectsWith('UNAVAILABLE', write(database, transaction => transaction.query(insert('c'))))
    assert.equal(await database.healthy(), false)
  },
  async 'prune keeps what is young'({ database }) {
    await write(database, transaction => transaction.remember('create', 'k', { fingerprint: 'f', answer: 1 }))
    assert.equal(await database.prune([]), 0)
    assert.notEqual(await write(database, transaction => transaction.recall('create', 'k')), null)
  },

  async 'no statement starts after the deadline'({ database }) {
    await rejectsWith('DEADLINE_EXCEEDED', write(database, async transaction => {
      await transaction.query(insert('a'))
      await sleep(60)
      await transaction.query(insert('b'))
    }, scope(bucket, 50)))
    assert.equal(await amountOf(database, 'a'), undefined)
  },
  async 'values no column can hold are invalid input'({ database }) {
    for (const value of ['nul \u0000 within', { deep: ['\u0000'] }]) {
      await rejectsWith('INVALID_INPUT', database.query('alpha', { text: 'SELECT $1::jsonb', values: [JSON.stringify(value)] }))
    }
    await rejectsWith('INVALID_INPUT', database.query('alpha', { text: 'SELECT $1::text', values: ['nul \u0000'] }))
    await rejectsWith('INVALID_INPUT', write(database, transaction => transaction.claim({ scope: 'name', value: 'a\u0000', owner: '1' })))
    await rejectsWith('INVALID_INPUT', database.query('alpha', { text: 'SELECT $1::uuid', values: ['not-an-id'] }))
    await rejectsWith('INVALID_INPUT', write(database, transaction => transaction.query(insert('a', 2 ** 40))))
  },
  async 'more texts than can be named still run'({ database }) {
    for (let index = 0; index < 600; index++) await database.query('alpha', { text: `SELECT ${index} AS n, $1::int AS v`, values: [1] })
  },
  async 'counts are numbers, what is larger stays exact'({ database }) {
    const { rows } = await database.query<{ n: unknown; large: unknown }>('alpha', { text: `SELECT count(*) AS n, 9007199254740993::bigint AS large FROM item`, values: [] })
    assert.deepEqual(rows[0], { n: 0, large: '9007199254740993' })
  },
})
