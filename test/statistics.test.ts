/** Whose statement it is, on the real server: its statistics, its activity and its log; and how often each runs per call. */
import os from 'node:os'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { z } from 'zod'
import { application, service } from '../src/index.ts'
import { silentLogger } from '../src/base/log.ts'
import { boot } from '../src/boot/boot.ts'
import { markOf, mergeStatistics, Statistics } from '../src/runtime/statistics.ts'
import type { Topology } from '../src/topology/topology.ts'
import monolith from '../examples/conduit/topologies/1-monolith.ts'
import { scratchPostgres } from './support/postgres.ts'

const notes = service('notes', {}).tables<{ pg_stat_activity: { pid: number; query: string } }>()
const input = z.object({ times: z.number() })
const activity = z.array(z.string())
const scatter = { scatter: true, input, output: activity } as const
const plain = notes.query({
  ...scatter,
  async run(context, { times }) {
    const rows: { query: string }[] = []
    for (let index = 0; index < times; index++) rows.push(...await context.sql<{ query: string }>`SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()`)
    return rows.map(row => row.query)
  },
})
const built = notes.query({
  ...scatter,
  run: async context => (await context.db.selectFrom('pg_stat_activity').select(['pid', 'query']).where('pid', '=', sql<number>`pg_backend_pid()`).execute()).map(row => row.query),
})
const twin = notes.query({ ...scatter, run: context => context.call(plain, { times: 1 }) })
const write = notes.command({
  input, output: activity, key: () => 'one',
  run: async context => (await context.sql<{ query: string }>`SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()`).map(row => row.query),
})
const app = application('marks', { services: { notes: { notes, plain, built, twin, write } } })

async function running() {
  const scratch = await scratchPostgres()
  await scratch.sql('CREATE EXTENSION pg_stat_statements')
  const one = await boot({ app, topology: monolith as unknown as Topology, databaseUrl: scratch.url, dataFolder: os.tmpdir(), log: silentLogger, secret: Buffer.alloc(32), host: '127.0.0.1', port: 0 })
  return { scratch, ...one, async [Symbol.asyncDispose]() { await one.stop(); await scratch.close() } }
}

test('the server shows of each statement which intent it belongs to', async () => {
  await using one = await running()
  const call = (intent: string, times = 1) => one.invoke({ intent, input: { times } }) as Promise<string[]>
  for (const intent of ['notes.plain', 'notes.built', 'notes.write']) assert.match((await call(intent))[0]!, new RegExp(`/\\*intent='${intent}'\\*/$`))
  const recorded = await one.scratch.sql<{ query: string; calls: number }>(`SELECT query, calls FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())`)
  const marked = (intent: string) => recorded.filter(row => row.query.includes(`/*intent='${intent}'*/`))
  assert.equal(marked('notes.built').length, 1)
  // The same statement of one role is one entry, with the text that came first: the id of a query ignores comments.
  assert.equal(marked('notes.plain').length + marked('notes.write').length, 1)
  assert.ok(marked('tenfold.outbox').length > 0)
  const prepared = await one.engines.database.query<{ statement: string }>('notes', { text: 'SELECT statement FROM pg_prepared_statements', values: [] })
  assert.ok(prepared.rows.some(row => row.statement.endsWith(markOf('notes.plain'))))
})

test('statements are prepared once per intent, not once per call', async () => {
  await using one = await running()
  for (let index = 0; index < 8; index++) await Promise.all([one.invoke({ intent: 'notes.plain', input: { times: 3 } }), one.invoke({ intent: 'notes.built', input: { times: 1 } })])
  const { rows } = await one.engines.database.query<{ statement: string }>('notes', { text: 'SELECT statement FROM pg_prepared_statements', values: [] })
  const texts = rows.map(row => row.statement).filter(text => text.includes('notes.'))
  assert.deepEqual(texts.length, new Set(texts).size)
  assert.ok(texts.length <= 2)
})

test('runs of an intent are counted apart, calls of others too', async () => {
  await using one = await running()
  await Promise.all([...Array.from({ length: 9 }, () => 1), 7].map(times => one.invoke({ intent: 'notes.plain', input: { times } })))
  await one.invoke({ intent: 'notes.twin', input: { times: 1 } })
  const counts = Object.fromEntries(one.statistics.read().map(count => [count.intent, count]))
  const { calls, statements, texts } = counts['notes.plain']!
  assert.deepEqual({ calls, statements }, { calls: 11, statements: 17 })
  assert.deepEqual(texts.map(({ runs, calls, perCallMax }) => ({ runs, calls, perCallMax })), [{ runs: 17, calls: 11, perCallMax: 7 }])
  assert.doesNotMatch(texts[0]!.text, /intent=/)
  assert.deepEqual(counts['notes.twin']!.texts, [{ text: 'call notes.plain', runs: 1, calls: 1, perCallMax: 1 }])
  assert.equal(counts['notes.twin']!.statements, 0)
})

test('texts built without end are one sum in the end, and keep their mark', () => {
  const statistics = new Statistics()
  const run = statistics.begin(plain)
  for (let index = 0; index < 5_000; index++) assert.equal(run.text(`SELECT ${index}`), `SELECT ${index}${markOf('notes.plain')}`)
  const [count] = statistics.read()
  assert.equal(count!.statements, 5_000)
  assert.ok(count!.texts.length <= 201)
})

test('a name cannot end its comment', () => {
  assert.equal(markOf(`a*/; DROP TABLE x --'`), ` /*intent='a*%2F%3B%20DROP%20TABLE%20x%20--%27'*/`)
})

test('several processes are one', () => {
  const count = (calls: number, perCallMax: number) => [{ intent: 'a.b', kind: 'query' as const, calls, statements: calls, texts: [{ text: 't', runs: calls, calls, perCallMax }] }]
  assert.deepEqual(mergeStatistics([count(2, 1), count(3, 4), []]), [{ intent: 'a.b', kind: 'query', calls: 5, statements: 5, texts: [{ text: 't', runs: 5, calls: 5, perCallMax: 4 }] }])
})
