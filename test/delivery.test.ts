/**
 * Deliveries that commit together: each has its effect once and in order, whatever the others
 * of its batch do. The bus brings a failed batch one by one; so does `bring` here.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { application, service } from 'tenfold'
import { z } from 'zod'
import { fault } from '../src/base/errors.ts'
import { bucketOf, newId } from '../src/base/id.ts'
import { silentLogger } from '../src/base/log.ts'
import { databaseSchemas } from '../src/conformance/database.ts'
import { openPostgresDatabase } from '../src/drivers/postgres/database.ts'
import { openMemoryTransport } from '../src/drivers/memory/transport.ts'
import type { Subscription } from '../src/model/event.ts'
import type { Advance, Message } from '../src/ports/database.ts'
import { deliver } from '../src/runtime/delivery.ts'
import type { Surroundings } from '../src/runtime/execution.ts'
import { Statistics } from '../src/runtime/statistics.ts'
import { Tracer } from '../src/runtime/tracer.ts'
import { forgetsInbox } from './conformance/broken/database.ts'
import { scratchPostgres } from './support/postgres.ts'

const alpha = service('alpha').tables<{ item: { id: string; amount: number; note: string | null } }>()
const happened = alpha.event(z.object({ to: z.string(), step: z.number() }))
/** Adds the step to the note of its key: what runs twice, or out of order, shows. */
const noting = alpha.subscribe({
  on: happened,
  async run(context, { key, payload: { step } }) {
    if (step === 13) throw new Error('unlucky')
    await context.sql`INSERT INTO item (bucket, id, note) VALUES (${context.bucket}, ${key}, ${`${step} `})
      ON CONFLICT (bucket, id) DO UPDATE SET note = item.note || excluded.note`
  },
})
const seen = alpha.query({ input: z.object({ id: z.string() }), output: z.object({ note: z.string() }), key: ({ id }) => id, run: async () => ({ note: 'called' }) })
let calls = 0
const calling = alpha.subscribe({
  on: happened,
  async run(context, { key }) {
    calls++
    // A handler that goes on without an answer must not get by.
    await context.call(seen, { id: key }).catch(() => {})
    await context.sql`INSERT INTO item (bucket, id) VALUES (${context.bucket}, ${key})`
  },
})
let arrived = 0
const both = Promise.withResolvers<void>()
/** Ends only when another one has begun. */
const meeting = alpha.subscribe({
  on: happened,
  async run(context, { key }) {
    if (++arrived === 2) both.resolve()
    await both.promise
    await context.sql`INSERT INTO item (bucket, id) VALUES (${context.bucket}, ${key})`
  },
})
/** Fails the first time it runs, in this way. */
const failingOnce = (failure: () => Error) => {
  let has = false
  return alpha.subscribe({
    on: happened,
    async run(context, { key }) {
      await context.sql`INSERT INTO item (bucket, id) VALUES (${context.bucket}, ${key})`
      if (!has) { has = true; throw failure() }
    },
  })
}
const slow = failingOnce(() => fault('DEADLINE_EXCEEDED'))
const unlucky = failingOnce(() => new Error('unlucky'))
/** Notes without waiting; what it reads afterwards must have its note, and what it reads beside its transaction must not. */
const writing = alpha.subscribe({
  on: happened,
  async run(context, { key, payload: { step } }) {
    const bucket = step === 13 ? context.bucket + 1 : context.bucket
    context.write`INSERT INTO item (bucket, id, note) VALUES (${bucket}, ${key}, ${`${step} `})
      ON CONFLICT (bucket, id) DO UPDATE SET note = item.note || excluded.note`
    if (step % 2 === 1) return
    const text = async (sql: typeof context.sql) => (await sql<{ note: string }>`SELECT note FROM item WHERE bucket = ${context.bucket} AND id = ${key}`)[0]?.note ?? ''
    assert.ok((await text(context.sql)).includes(`${step} `), 'its own transaction shows it')
    assert.ok(!(await text(context.read)).includes(`${step} `), 'nobody else sees it yet')
  },
})
export const app = application('deliveries', { services: { alpha: { alpha, happened, noting, calling, meeting, slow, unlucky, writing, seen } } })

const messages = (keys: readonly string[], steps: readonly number[]): Message[] => steps.flatMap(step => keys.map(key => (
  { id: newId(bucketOf(key)), kind: 'event', name: happened.name, key, bucket: bucketOf(key), payload: { to: key, step }, atMs: 1_700_000_000_000 })))
const keys = Array.from({ length: 10 }, (_, index) => `key-${index}`)

async function surroundings(t: { after(close: () => Promise<void>): void }) {
  const scratch = await scratchPostgres()
  const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
  await database.migrate(databaseSchemas)
  t.after(async () => { await database.close(); await scratch.close() })
  const transport = openMemoryTransport()
  transport.serve(['alpha'], async () => ({ output: { note: 'called' }, token: undefined }))
  const options: Surroundings = { database, transport, invalidation: null, log: silentLogger, statistics: new Statistics(), tracer: new Tracer() }
  const notes = async () => Object.fromEntries((await scratch.sql<{ id: string; note: string | null }>('SELECT id, note FROM alpha.item ORDER BY id')).map(row => [row.id, row.note]))
  const transactions = async () => Number((await scratch.sql<{ n: string }>('SELECT count(DISTINCT xmin::text) AS n FROM tenfold.inbox'))[0]!.n)
  return { options, notes, transactions }
}

async function bring(options: Surroundings, intent: Subscription, batch: readonly Message[]): Promise<string[]> {
  const failed: string[] = []
  await deliver(options, intent, batch).catch(async () => {
    for (const message of batch) await deliver(options, intent, [message]).catch((error: Error) => failed.push(error.message))
  })
  return failed
}

test('deliveries of many keys share transactions, stay in order, and have their effect once', async t => {
  const { options, notes, transactions } = await surroundings(t)
  const batch = messages(keys, [1, 2, 3, 4])
  await deliver(options, noting as unknown as Subscription, batch)
  await deliver(options, noting as unknown as Subscription, batch.toReversed())
  assert.deepEqual(await notes(), Object.fromEntries(keys.map(key => [key, '1 2 3 4 '])))
  assert.ok(await transactions() <= 4, `${await transactions()} transactions for ${batch.length} messages`)
})

test('negative control: without the inbox a second delivery shows', async t => {
  const { options, notes } = await surroundings(t)
  const forgetful = { ...options, database: forgetsInbox(options.database) }
  const batch = messages([keys[0]!], [1, 2])
  await deliver(forgetful, noting as unknown as Subscription, batch)
  await deliver(forgetful, noting as unknown as Subscription, batch)
  assert.deepEqual(await notes(), { [keys[0]!]: '1 2 1 2 ' })
})

test('one that fails takes nothing from the others of its transaction', async t => {
  const { options, notes } = await surroundings(t)
  const batch = [...messages(keys, [1]), ...messages([keys[3]!], [13]), ...messages(keys, [2])]
  assert.deepEqual(await bring(options, noting as unknown as Subscription, batch), ['unlucky'])
  assert.deepEqual(await notes(), Object.fromEntries(keys.map(key => [key, '1 2 '])))
})

test('a handler that calls another intent gets a transaction of its own, also when it swallows the refusal', async t => {
  const { options, notes, transactions } = await surroundings(t)
  assert.deepEqual(await bring(options, calling as unknown as Subscription, messages(keys, [1])), [])
  assert.deepEqual(Object.keys(await notes()), keys)
  assert.equal(await transactions(), keys.length)
  // From then on it is not tried together again.
  const before = calls
  await deliver(options, calling as unknown as Subscription, messages(['key-a', 'key-b'], [1]))
  assert.equal(calls - before, 2)
})

test('deliveries of different buckets run at the same time, over one transaction', async t => {
  const { options, notes, transactions } = await surroundings(t)
  await deliver(options, meeting as unknown as Subscription, messages(['key-a', 'key-b'], [1]))
  assert.deepEqual(Object.keys(await notes()), ['key-a', 'key-b'])
  assert.equal(await transactions(), 1)
})

test('one whose large batch took too long gets small ones, with the inbox; one that failed otherwise does not', async t => {
  const { options, notes, transactions } = await surroundings(t)
  const many = Array.from({ length: 3 * 32 }, (_, index) => `key-${index}`)
  const advance = { consumer: 'alpha.slow', epoch: '1', tx: '1', seq: '1' } satisfies Advance
  const batch = messages(many, [1])
  await assert.rejects(deliver(options, slow as unknown as Subscription, batch, advance))
  assert.equal(await deliver(options, slow as unknown as Subscription, batch, advance), undefined, 'it leaves the cursor to the bus')
  assert.equal(Object.keys(await notes()).length, many.length)
  assert.ok(await transactions() >= 3)
  await assert.rejects(deliver(options, unlucky as unknown as Subscription, batch, advance))
  // No cursor is there to advance, which it tries all the same.
  await assert.rejects(deliver(options, unlucky as unknown as Subscription, messages(['key-a'], [1]), advance))
})

test('what a handler writes without waiting is there once and in order, and seen by its next statement', async t => {
  const { options, notes, transactions } = await surroundings(t)
  const batch = messages(keys, [1, 2, 3, 4])
  await deliver(options, writing as unknown as Subscription, batch)
  await deliver(options, writing as unknown as Subscription, batch.toReversed())
  assert.deepEqual(await notes(), Object.fromEntries(keys.map(key => [key, '1 2 3 4 '])))
  assert.ok(await transactions() <= 4, `${await transactions()} transactions for ${batch.length} messages`)
})

test('what fails without being waited for fails its delivery, with what the database said', async t => {
  const { options, notes } = await surroundings(t)
  const batch = [...messages(keys, [1]), ...messages([keys[3]!], [13]), ...messages(keys, [3])]
  const failed = await bring(options, writing as unknown as Subscription, batch)
  assert.ok(failed.length === 1 && failed[0]!.includes('this transaction owns bucket'), failed.join())
  assert.deepEqual(await notes(), Object.fromEntries(keys.map(key => [key, '1 3 '])))
})
