/**
 * Checks of the database (I6): the runtime's own tables keep the rows of services apart, in
 * the database itself, since a service may run any SQL under its role.
 */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import { bucketOf, newId } from '../base/id.ts'
import { monotonicMs } from '../base/time.ts'
import type { Database, Message, Transaction } from '../ports/database.ts'
import type { Suite } from './check.ts'

const bucket = bucketOf('customer-1')
const id = newId(bucket)

const as = <T>(database: Database, service: string, work: (transaction: Transaction) => Promise<T>): Promise<T> =>
  database.transaction({ service, bucket, deadlineMonotonicMs: monotonicMs() + 8_000 }, work)

const event = (name: string): Message => ({ id: newId(bucket), kind: 'event', name, key: 'customer-1', bucket, payload: {}, atMs: 1_700_000_000_000 })

async function refuses(database: Database, text: string, values: readonly unknown[] = []): Promise<void> {
  for (const run of [() => database.query('alpha', { text, values }), () => as(database, 'alpha', transaction => transaction.query({ text, values }))]) {
    await assert.rejects(run(), (error: Error & { code?: string }) => error.code === '42501' && !isTenfoldError(error) || assert.fail(`expected 42501, got ${String(error)}`))
  }
}

/** Rows of the table that alpha sees by SQL of its own, in and outside a transaction, and can take away. */
async function reach(database: Database, table: string, mayDelete = false): Promise<number> {
  const count = { text: `SELECT count(*) AS n FROM tenfold.${table}`, values: [] }
  const outside = await database.query<{ n: number }>('alpha', count)
  const inside = await as(database, 'alpha', transaction => transaction.query<{ n: number }>(count))
  const deleted = mayDelete ? (await database.query('alpha', { text: `DELETE FROM tenfold.${table}`, values: [] })).affected : 0
  return outside.rows[0]!.n + inside.rows[0]!.n + deleted
}

export const ownershipChecks: Suite<{ readonly database: Database }>['checks'] = {
  async 'claims of another service cannot be read or written'({ database }) {
    await as(database, 'beta', transaction => transaction.claim({ scope: 'name', value: 'x', owner: '1' }))
    assert.equal(await reach(database, 'claim', true), 0)
    await refuses(database, `INSERT INTO tenfold.claim (bucket, service, scope, value, owner) VALUES (1, 'beta', 'name', 'y', '2')`)
    assert.deepEqual([await database.claimed('beta', 'name', 'x'), await database.claimed('beta', 'name', 'y')], ['1', null])
  },
  async 'the inbox of another service cannot be read or written, and does not meet the own one'({ database }) {
    await as(database, 'beta', transaction => transaction.firstSeen('one', [{ id, bucket }]))
    assert.equal(await reach(database, 'inbox'), 0)
    await refuses(database, `INSERT INTO tenfold.inbox (bucket, service, consumer, id) VALUES (1, 'beta', 'one', $1)`, [newId(1)])
    assert.deepEqual(await as(database, 'alpha', transaction => transaction.firstSeen('one', [{ id, bucket }])), new Set([id]))
  },
  async 'answers of another service cannot be read or written, and do not meet the own ones'({ database }) {
    const answer = (text: string) => ({ fingerprint: 'f', answer: text })
    await as(database, 'beta', transaction => transaction.remember('create', 'k', answer('of beta')))
    assert.equal(await reach(database, 'idempotency'), 0)
    await refuses(database, `INSERT INTO tenfold.idempotency (bucket, service, scope, key, fingerprint, answer) VALUES (1, 'beta', 'create', 'k', 'f', '{}')`)
    assert.equal(await as(database, 'alpha', transaction => transaction.recall('create', 'k')), null)
    await as(database, 'alpha', transaction => transaction.remember('create', 'k', answer('of alpha')))
    assert.deepEqual(await as(database, 'beta', transaction => transaction.recall('create', 'k')), answer('of beta'))
  },
  async 'the outbox cannot be read, and takes events of the own service only'({ database }) {
    await as(database, 'beta', transaction => transaction.append([event('beta.changed')]))
    await refuses(database, 'SELECT count(*) FROM tenfold.outbox')
    await refuses(database, 'DELETE FROM tenfold.outbox')
    await refuses(database, `INSERT INTO tenfold.outbox (bucket, id, kind, name, key, payload, at) VALUES (1, $1, 'event', 'beta.changed', 'k', '{}', now())`, [newId(1)])
    await refuses(database, `INSERT INTO tenfold.outbox (tx, bucket, id, kind, name, key, payload, at) VALUES ('1', 1, $1, 'event', 'alpha.changed', 'k', '{}', now())`, [newId(1)])
    await assert.rejects(as(database, 'alpha', transaction => transaction.append([event('beta.changed')])), /row-level security/)
    await as(database, 'alpha', transaction => transaction.append([event('alpha.changed'), { ...event('beta.work'), kind: 'job' }]))
  },
}
