/**
 * Jobs that run straight from the outbox: their effect is there once, whichever way they come
 * again, and what may not run so, or failed, is left for the queue as it was.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { application, service } from 'tenfold'
import { z } from 'zod'
import { bucketOf, newId } from '../src/base/id.ts'
import { silentLogger } from '../src/base/log.ts'
import { now } from '../src/base/time.ts'
import { databaseSchemas } from '../src/conformance/database.ts'
import { openMemoryTransport } from '../src/drivers/memory/transport.ts'
import { openPostgresDatabase } from '../src/drivers/postgres/database.ts'
import { openPostgresQueue } from '../src/drivers/postgres/queue.ts'
import type { Job } from '../src/model/job.ts'
import type { Message } from '../src/ports/database.ts'
import type { Surroundings } from '../src/runtime/execution.ts'
import { PromptJobs } from '../src/runtime/prompt-jobs.ts'
import { Statistics } from '../src/runtime/statistics.ts'
import { Tracer } from '../src/runtime/tracer.ts'
import { startWorker } from '../src/runtime/worker.ts'
import { forgetsInbox } from './conformance/broken/database.ts'
import { scratchPostgres } from './support/postgres.ts'

const alpha = service('alpha').tables<{ item: { id: string; amount: number; note: string | null } }>()
const input = z.object({ id: z.string(), fails: z.boolean().optional() })
const key = ({ id }: { readonly id: string }) => id
/** Counts its runs where they show: in the row it writes. */
const count = alpha.job({
  input, key,
  async run(context, { id, fails }) {
    await context.sql`INSERT INTO item (bucket, id, amount) VALUES (${context.bucket}, ${id}, 1)
      ON CONFLICT (bucket, id) DO UPDATE SET amount = item.amount + 1`
    if (fails) throw new Error('unlucky')
  },
})
const outside = alpha.job({ input, key, outside: true, run: async () => {} })
const seen = alpha.query({ input, output: z.object({}), key, run: async () => ({}) })
const calling = alpha.job({ input, key, run: async (context, given) => { await context.call(seen, given) } })
const app = application('prompt', { services: { alpha: { alpha, count, outside, calling, seen } } })
const jobs = new Map([count, outside, calling].map(job => [job.name, job as unknown as Job]))

/** However slow the machine is. */
const patient = { deadlineMs: 60_000, budgetMs: 60_000 }
const ids = Array.from({ length: 40 }, (_, index) => `item-${String(index).padStart(2, '0')}`)
const message = (job: { readonly name: string }, id: string, more: { readonly runAtMs?: number; readonly fails?: boolean } = {}): Message => ({
  id: newId(bucketOf(id)), kind: 'job', name: job.name, key: id, bucket: bucketOf(id), payload: { id, fails: more.fails }, atMs: now(), runAtMs: more.runAtMs,
})

async function surroundings(t: { after(close: () => Promise<void>): void }) {
  const scratch = await scratchPostgres()
  const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
  await database.migrate(databaseSchemas)
  t.after(async () => { await database.close(); await scratch.close() })
  const transport = openMemoryTransport()
  transport.serve(['alpha'], async () => ({ output: {}, token: undefined }))
  const options: Surroundings = { database, transport, invalidation: null, log: silentLogger, statistics: new Statistics(), tracer: new Tracer() }
  const amounts = async () => Object.fromEntries((await scratch.sql<{ id: string; amount: number }>('SELECT id, amount FROM alpha.item ORDER BY id')).map(row => [row.id, row.amount]))
  const transactions = async () => Number((await scratch.sql<{ n: string }>('SELECT count(DISTINCT xmin::text) AS n FROM tenfold.inbox'))[0]!.n)
  return { options, url: scratch.url, amounts, transactions }
}

/** All jobs have been short so far. */
function proven(options: Surroundings): PromptJobs {
  const prompt = new PromptJobs(options, jobs, patient)
  for (const job of jobs.values()) for (let run = 0; run < 3; run++) prompt.ran(job, 1)
  return prompt
}

const once = Object.fromEntries(ids.map(id => [id, 1]))

test('jobs that were short run together, and once, also when they come again', async t => {
  const { options, amounts, transactions } = await surroundings(t)
  const batch = ids.map(id => message(count, id))
  const prompt = new PromptJobs(options, jobs, patient)
  assert.deepEqual(await prompt.run(batch), batch, 'unknown jobs go to the queue')
  prompt.ran(count as unknown as Job, 1)
  prompt.ran(count as unknown as Job, 1)
  prompt.ran(count as unknown as Job, 1)
  assert.deepEqual(await prompt.run(batch), [])
  assert.deepEqual(await amounts(), once)
  assert.equal(await transactions(), 2)
  // As after a crash that left the cursor of the relay where it was.
  assert.deepEqual(await proven(options).run(batch), [])
  assert.deepEqual(await amounts(), once)
})

test('negative control: without the inbox a job that comes again has a second effect', async t => {
  const { options, amounts } = await surroundings(t)
  const forgetful = { ...options, database: forgetsInbox(options.database) }
  const batch = [message(count, ids[0]!)]
  await proven(forgetful).run(batch)
  await proven(forgetful).run(batch)
  assert.deepEqual(await amounts(), { [ids[0]!]: 2 })
})

test('a job that ran promptly and comes from the queue as well has one effect', async t => {
  const { options, url, amounts } = await surroundings(t)
  const one = message(count, ids[0]!)
  assert.deepEqual(await proven(options).run([one]), [])
  const queue = openPostgresQueue({ url, log: silentLogger })
  await queue.open()
  await queue.enqueue([{ id: one.id, name: one.name, payload: one.payload, attemptsMax: 3 }])
  const worker = await startWorker({ ...options, app, queue, services: ['alpha'], concurrency: 2 }, new PromptJobs(options, jobs, patient))
  try {
    while ((await queue.depth()).waiting + (await queue.depth()).running > 0) await new Promise(resolve => setTimeout(resolve, 20))
    assert.deepEqual(await amounts(), { [ids[0]!]: 1 })
  } finally {
    await worker.stop(1_000)
    await queue.close()
  }
})

test('what fails leaves nothing behind, goes to the queue with those of its transaction, and its job with it', async t => {
  const { options, amounts } = await surroundings(t)
  const prompt = proven(options)
  const batch = [message(count, 'a'), message(count, 'b', { fails: true }), message(count, 'c')]
  assert.deepEqual(await prompt.run(batch), batch)
  assert.deepEqual(await amounts(), {})
  const next = [message(count, 'd')]
  assert.deepEqual(await prompt.run(next), next)
})

test('later, outside and calling jobs are left for the queue, in their order', async t => {
  const { options, amounts } = await surroundings(t)
  const batch = [
    message(outside, 'a'), message(count, 'b', { runAtMs: now() + 60_000 }), message(count, 'c'), message({ name: 'alpha.gone' }, 'd'),
    message(calling, 'e'), message(calling, 'f'), message(count, 'g', { runAtMs: now() - 1 }),
  ]
  assert.deepEqual((await proven(options).run(batch)).map(one => one.key), ['a', 'b', 'd', 'e', 'f'])
  assert.deepEqual(await amounts(), { c: 1, g: 1 })
})

test('what is not over in time leaves nothing behind and goes to the queue', async t => {
  const { options, amounts } = await surroundings(t)
  const prompt = new PromptJobs(options, jobs, { deadlineMs: 0, budgetMs: 60_000 })
  for (let run = 0; run < 3; run++) prompt.ran(count as unknown as Job, 1)
  const batch = [message(count, 'a'), message(count, 'b')]
  assert.deepEqual(await prompt.run(batch), batch)
  assert.deepEqual(await amounts(), {})
  // Three short runs do not make up for that.
  for (let run = 0; run < 3; run++) prompt.ran(count as unknown as Job, 1)
  assert.deepEqual(await prompt.run(batch), batch)
})
