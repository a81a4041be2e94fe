/**
 * A consumer's cursor commits with the effects of its batch, so that they are there once without
 * an inbox: whatever becomes of the answer, whoever delivers meanwhile, whatever was before.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTenfoldError } from '../src/base/errors.ts'
import { bucketOf, newId } from '../src/base/id.ts'
import { silentLogger } from '../src/base/log.ts'
import { monotonicMs, now } from '../src/base/time.ts'
import { until } from '../src/conformance/bus-recorder.ts'
import { databaseSchemas } from '../src/conformance/database.ts'
import { openPostgresBus } from '../src/drivers/postgres/bus.ts'
import { openPostgresDatabase } from '../src/drivers/postgres/database.ts'
import type { Subscription } from '../src/ports/bus.ts'
import type { Advance, Database, Message, Transaction } from '../src/ports/database.ts'
import { ignoresEpoch } from './conformance/broken/database.ts'
import { scratchPostgres } from './support/postgres.ts'

const consumer = 'alpha.counting'
const ids = Array.from({ length: 6 }, (_, index) => `item-${index}`)
const messages = (): Message[] => ids.map(id => ({ id: newId(bucketOf(id)), kind: 'event', name: 'alpha.happened', key: id, bucket: bucketOf(id), payload: { id }, atMs: now() }))
const once = Object.fromEntries(ids.map(id => [id, 1]))
const twice = Object.fromEntries(ids.map(id => [id, 2]))

async function surroundings(t: { after(close: () => Promise<void>): void }) {
  const scratch = await scratchPostgres()
  const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
  await database.migrate(databaseSchemas)
  const buses = [openPostgresBus({ url: scratch.url, log: silentLogger, pollMs: 20 }), openPostgresBus({ url: scratch.url, log: silentLogger, pollMs: 20 })] as const
  await Promise.all(buses.map(bus => bus.open()))
  t.after(async () => { await Promise.all(buses.map(bus => bus.close())); await database.close(); await scratch.close() })
  const amounts = async () => Object.fromEntries((await scratch.sql<{ id: string; amount: number }>('SELECT id, amount FROM alpha.item ORDER BY id')).map(row => [row.id, row.amount]))
  const remembered = async () => Number((await scratch.sql<{ n: string }>('SELECT count(*) AS n FROM tenfold.inbox'))[0]!.n)
  /** What is published from now on is new to its leader. */
  const led = () => until('it is led', async () => (await scratch.sql(`SELECT FROM pg_stat_activity a JOIN tenfold.cursor ON a.application_name = 'tenfold ' || consumer WHERE a.query LIKE '%tenfold.parked%' OR a.query LIKE '%tenfold.outbox%'`)).length > 0)
  return { database, buses, amounts, remembered, led, sql: scratch.sql }
}

const within = (database: Database, work: (transaction: Transaction) => Promise<void>, service = 'alpha') =>
  database.transaction({ service, bucket: null, deadlineMonotonicMs: monotonicMs() + 8_000 }, work)

async function countIn(transaction: Transaction, batch: readonly Message[]): Promise<void> {
  for (const { key, bucket } of batch) {
    await transaction.query({ text: 'INSERT INTO item (bucket, id, amount) VALUES ($1, $2, 1) ON CONFLICT (bucket, id) DO UPDATE SET amount = item.amount + 1', values: [bucket, key] })
  }
}

/** Counts each message once, as a projection does. */
async function count(database: Database, batch: readonly Message[], advance: Advance | null | undefined, between = async () => {}): Promise<'advanced' | void> {
  await within(database, async transaction => {
    const fresh = advance ? null : await transaction.firstSeen(consumer, batch)
    await countIn(transaction, batch.filter(one => fresh?.has(one.id) ?? true))
    await between()
    if (advance) await transaction.advance(advance)
  })
  if (advance) return 'advanced'
}

const subscription = (handle: Subscription['handle']): Subscription => ({ consumer, names: ['alpha.happened'], attemptsMax: 3, backoff: { baseMs: 10, capMs: 40 }, handle })

test('what has committed with the cursor is not done again, also when its answer is lost', async t => {
  const { database, buses: [bus], amounts, remembered, led } = await surroundings(t)
  let losses = 1
  await bus.subscribe(subscription(async (batch, advance) => {
    const outcome = await count(database, batch, advance)
    if (advance && losses-- > 0) throw new Error('the connection broke behind COMMIT')
    return outcome
  }))
  await led()
  await bus.publish(messages())
  assert.equal(await bus.caughtUp(consumer, 5_000), true)
  assert.deepEqual([losses, await amounts(), await remembered()], [0, once, 0], 'no inbox was needed')
  await bus.publish(messages())
  assert.equal(await bus.caughtUp(consumer, 5_000), true)
  assert.deepEqual(await amounts(), twice, 'others are new')
})

test('negative control: with neither cursor nor inbox it is done again', async t => {
  const { database, buses: [bus], amounts } = await surroundings(t)
  let losses = 1
  await bus.subscribe(subscription(async batch => {
    await within(database, transaction => countIn(transaction, batch))
    if (batch.length > 1 && losses-- > 0) throw new Error('the connection broke behind COMMIT')
  }))
  await bus.publish(messages())
  assert.equal(await bus.caughtUp(consumer, 5_000), true)
  assert.deepEqual(await amounts(), twice)
})

/** The first leader loses its connection in the middle of a batch, and the second handles that batch before the first goes on. */
async function takeOver(t: { after(close: () => Promise<void>): void }, wrap: (database: Database) => Database) {
  const { database: plain, buses: [first, second], amounts, led, sql } = await surroundings(t)
  const database = wrap(plain)
  const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let ended: Promise<unknown> | undefined
  const one = await first.subscribe(subscription(async (batch, advance) => {
    if (!advance) return count(database, batch, advance)
    begun.resolve()
    await released.promise
    ended = count(database, batch, advance)
    await ended
    return 'advanced'
  }))
  await led()
  await first.publish(messages())
  await begun.promise
  await sql(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE application_name = 'tenfold ${consumer}'`)
  await second.subscribe(subscription((batch, advance) => count(database, batch, advance)))
  await until('the second has done it', async () => Object.keys(await amounts()).length === ids.length)
  assert.equal(await second.caughtUp(consumer, 5_000), true)
  released.resolve()
  await one.stop()
  return { ended: await ended!.then(() => null, (error: unknown) => error), amounts: await amounts() }
}

test('who no longer leads cannot commit', async t => {
  const { ended, amounts } = await takeOver(t, database => database)
  assert.ok(isTenfoldError(ended) && ended.code === 'CONFLICT', String(ended))
  assert.deepEqual(amounts, once)
})

test('negative control: where the epoch is not asked for, both commit', async t => {
  const { ended, amounts } = await takeOver(t, ignoresEpoch)
  assert.deepEqual([ended, amounts], [null, twice])
})

test('what was handled before with an inbox, and not yet with a cursor, is known', async t => {
  for (const isForgotten of [false, true]) {
    const { database, buses: [bus], amounts, sql } = await surroundings(t)
    const batch = messages()
    await bus.publish(batch)
    // A process that died behind the commit of its handler.
    await count(database, batch, null)
    if (isForgotten) await sql('DELETE FROM tenfold.inbox')
    await bus.subscribe(subscription((delivered, advance) => count(database, delivered, advance)))
    assert.equal(await bus.caughtUp(consumer, 5_000), true)
    assert.deepEqual(await amounts(), isForgotten ? twice : once)
  }
})

test('a message that fails takes nothing from the others of its batch', async t => {
  const { database, buses: [bus], amounts, led } = await surroundings(t)
  let failures = 2
  await bus.subscribe(subscription(async (batch, advance) => count(database, batch, advance, async () => {
    if (batch.some(one => one.key === ids[3]) && failures-- > 0) throw new Error('unlucky')
  })))
  await led()
  await bus.publish(messages())
  assert.equal(await bus.caughtUp(consumer, 5_000), true)
  await bus.publish(messages())
  assert.equal(await bus.caughtUp(consumer, 5_000), true)
  assert.deepEqual(await amounts(), twice)
})

test('a service moves no cursor of another; negative control: without row level security it does', async t => {
  const { database, buses: [bus], led, sql } = await surroundings(t)
  await bus.subscribe(subscription(async () => {}))
  await led()
  const [row] = await sql<{ epoch: string }>(`SELECT epoch::text FROM tenfold.cursor WHERE consumer = '${consumer}'`)
  const advance = { consumer, epoch: row!.epoch, tx: '1', seq: '1' }
  const refused = (error: unknown) => isTenfoldError(error) && error.code === 'CONFLICT'
  await assert.rejects(within(database, transaction => transaction.advance(advance), 'beta'), refused)
  await assert.rejects(within(database, async transaction => { await transaction.query({ text: `UPDATE tenfold.cursor SET epoch = 7`, values: [] }) }), /permission denied/)
  await sql('ALTER TABLE tenfold.cursor DISABLE ROW LEVEL SECURITY')
  await within(database, transaction => transaction.advance(advance), 'beta')
})
