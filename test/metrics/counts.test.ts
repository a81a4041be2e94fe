/** What is measured is exact: known requests, and the numbers that must come of them, in one process on the real Postgres. */
import assert from 'node:assert/strict'
import os from 'node:os'
import { test } from 'node:test'
import { z } from 'zod'
import { application, fault, service } from '../../src/index.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { boot } from '../../src/boot/boot.ts'
import type { Topology } from '../../src/topology/topology.ts'
import monolith from '../../examples/conduit/topologies/1-monolith.ts'
import { total } from '../support/metric-page.ts'
import { scratchPostgres } from '../support/postgres.ts'

const shop = service('shop', {})
const nothing = z.object({})
const key = () => 'one'
const held = { count: 0 }
const gate = Promise.withResolvers<void>()
const statement = shop.query({ scatter: true, input: z.object({ times: z.coerce.number() }), output: nothing, http: 'GET /statements/:times', async run(context, { times }) {
  for (let index = 0; index < times; index++) await context.sql`SELECT pg_sleep(0.01)`
  return {}
} })
const caller = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /caller', async run(context) { await context.call(statement, { times: 2 }); return {} } })
const refused = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /refused', run: () => { throw fault('NOT_FOUND') } })
const faulty = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /faulty', run: () => { throw new Error('on purpose') } })
const slow = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /slow', deadlineMs: 100, run: async () => { await sleep(1_000); return {} } })
const wait = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /wait', run: async () => { held.count++; await sleep(1_500); return {} } })
const weak = shop.query({ scatter: true, input: nothing, output: nothing, http: 'GET /weak', run: () => { throw fault('UNAVAILABLE') } })
const kept = shop.query({ scatter: true, input: z.object({ id: z.string() }), output: nothing, http: 'GET /kept/:id', freshness: { freshMs: 60_000, audience: 'public' },
  run: async (_, { id }) => { await gate.promise; if (id === 'none') throw fault('NOT_FOUND'); return {} } })
const happened = shop.event(z.object({ n: z.number() }))
const handle = shop.subscribe({ on: happened, async run(_, { payload }) { if (payload.n === 13) throw new Error('on purpose') } })
const work = shop.job({ input: z.object({ n: z.number() }), attemptsMax: 1, async run(_, { n }) { if (n === 13) throw new Error('on purpose') } })
const tell = shop.command({ input: z.object({ n: z.coerce.number() }), output: nothing, key, http: 'POST /tell/:n', async run(context, { n }) {
  context.emit(happened, { n })
  context.enqueue(work, { n })
  return {}
} })
const app = application('measured', { services: { shop: { shop, statement, caller, refused, faulty, slow, wait, weak, kept, happened, handle, work, tell } } })

async function running(metrics = true) {
  const scratch = await scratchPostgres()
  const topology = { ...monolith, ports: { ...monolith.ports, cache: { driver: 'memory', bytesMax: 1_000_000 } } } as unknown as Topology
  const one = await boot({ app, topology, metrics, databaseUrl: scratch.url, dataFolder: os.tmpdir(), log: silentLogger, secret: Buffer.alloc(32), host: '127.0.0.1', port: 0 })
  const send = async (path: string, method = 'GET') => { const answer = await fetch(one.url + path, { method }); await answer.arrayBuffer(); return answer.status }
  return { ...one, metrics: one.metrics!, send, async [Symbol.asyncDispose]() { await one.stop(); await scratch.close() } }
}

async function until(condition: () => boolean): Promise<void> {
  for (const endMs = monotonicMs() + 30_000; !condition(); await sleep(20)) assert.ok(monotonicMs() < endMs)
}

test('requests, statements, calls and errors are counted one by one', async () => {
  await using one = await running()
  const intent = (name: string, more = {}) => ({ intent: `shop.${name}`, ...more })
  for (let index = 0; index < 3; index++) assert.equal(await one.send('/statements/4'), 200)
  assert.equal(await one.send('/statements/many'), 422)
  assert.equal(await one.send('/caller'), 200)
  assert.deepEqual([await one.send('/refused'), await one.send('/faulty'), await one.send('/slow'), await one.send('/nowhere')], [404, 500, 504, 404])
  const count = (name: string, outcome: string) => total(one.metrics, 'tenfold_intent_requests_total', intent(name, { outcome }))
  assert.deepEqual(['ok', 'refused', 'failed', 'shed'].map(outcome => count('statement', outcome)), [4, 1, 0, 0])
  assert.deepEqual([count('caller', 'ok'), count('refused', 'refused'), count('faulty', 'failed'), count('slow', 'failed')], [1, 1, 1, 1])
  assert.equal(total(one.metrics, 'tenfold_intent_duration_seconds', intent('statement')), 5)
  const errors = one.metrics.read().find(({ name }) => name === 'tenfold_intent_errors_total')!.samples
  assert.deepEqual(Object.fromEntries(errors.map(({ labels, ...rest }) => [`${labels.intent} ${labels.code}`, (rest as { value: number }).value])),
    { 'shop.statement INVALID_INPUT': 1, 'shop.refused NOT_FOUND': 1, 'shop.faulty INTERNAL': 1, 'shop.slow DEADLINE_EXCEEDED': 1 })
  assert.equal(total(one.metrics, 'tenfold_intent_expired_total'), 1)
  assert.equal(total(one.metrics, 'tenfold_intent_statements_total', intent('statement')), 14)
  const seconds = total(one.metrics, 'tenfold_intent_statement_seconds_total', intent('statement'))
  assert.ok(seconds >= 0.14, `14 statements of 10 ms took ${seconds} s`)
  assert.equal(total(one.metrics, 'tenfold_intent_calls_total', intent('caller', { target: 'shop.statement' })), 1)
  await until(() => total(one.metrics, 'http_server_request_duration_seconds') === 9)
  const http = (status: string) => total(one.metrics, 'http_server_request_duration_seconds', { http_request_method: 'GET', http_response_status_code: status })
  assert.deepEqual(['200', '404', '422', '500', '504'].map(http), [4, 2, 1, 1, 1])
})

test('retries are counted apart from the requests they belong to', async () => {
  await using one = await running()
  assert.equal(await one.send('/weak'), 503)
  assert.equal(total(one.metrics, 'tenfold_intent_requests_total', { intent: 'shop.weak' }), 1)
  assert.equal(total(one.metrics, 'tenfold_intent_retries_total', { intent: 'shop.weak' }), 2)
})

test('what the limiter refuses is counted as shed, and as nothing else', async () => {
  await using one = await running()
  const statuses = await Promise.all(Array.from({ length: 90 }, () => one.send('/wait')))
  const shed = statuses.filter(status => status === 503).length
  assert.ok(shed > 0 && shed < 90, `${shed} of 90`)
  const count = (outcome: string) => total(one.metrics, 'tenfold_intent_requests_total', { intent: 'shop.wait', outcome })
  assert.deepEqual([count('shed'), count('ok'), total(one.metrics, 'tenfold_intent_shed_total')], [shed, 90 - shed, shed])
  assert.equal(total(one.metrics, 'tenfold_intent_errors_total', { code: 'OVERLOADED' }), shed)
  assert.equal(total(one.metrics, 'tenfold_intent_duration_seconds', { intent: 'shop.wait' }), held.count)
  assert.ok(total(one.metrics, 'tenfold_limiter_limit') >= 8)
  await until(() => total(one.metrics, 'tenfold_limiter_in_flight') === 0)
})

test('an answer is a hit, a miss, or shared with one under way', async () => {
  await using one = await running()
  const results = (result: string) => total(one.metrics, 'tenfold_intent_cache_requests_total', { intent: 'shop.kept', result })
  const four = Promise.all(Array.from({ length: 4 }, () => one.send('/kept/a')))
  await until(() => results('coalesced') === 3)
  gate.resolve()
  await four
  for (let index = 0; index < 5; index++) assert.equal(await one.send('/kept/a'), 200)
  for (let index = 0; index < 2; index++) assert.equal(await one.send('/kept/none'), 404)
  assert.deepEqual(['miss', 'coalesced', 'hit', 'stale'].map(results), [2, 3, 6, 0])
  const count = (outcome: string) => total(one.metrics, 'tenfold_intent_requests_total', { intent: 'shop.kept', outcome })
  assert.deepEqual([count('ok'), count('refused')], [9, 2])
  assert.equal(total(one.metrics, 'tenfold_cache_entries'), 2)
  assert.ok(total(one.metrics, 'tenfold_cache_bytes') > 0)
})

test('deliveries and attempts, handled, failed and dead', async () => {
  await using one = await running()
  for (const n of [1, 2, 13]) assert.equal(await one.send(`/tell/${n}`, 'POST'), 200)
  const count = (intent: string, outcome: string) => total(one.metrics, 'tenfold_intent_requests_total', { intent, outcome })
  await until(() => total(one.metrics, 'tenfold_intent_dead_total', { intent: 'shop.handle' }) === 1 && count('shop.work', 'failed') === 1 && count('shop.work', 'ok') === 2)
  assert.equal(total(one.metrics, 'tenfold_intent_dead_total', { intent: 'shop.work' }), 1)
  assert.equal(total(one.metrics, 'tenfold_intent_messages_total', { intent: 'shop.work' }), 2)
  assert.ok(total(one.metrics, 'tenfold_intent_messages_total', { intent: 'shop.handle' }) >= 2)
  assert.ok(count('shop.handle', 'failed') >= 5, 'every try that failed')
  assert.equal(total(one.metrics, 'tenfold_intent_errors_total', { intent: 'shop.work', code: 'INTERNAL' }), 1)
})

test('a process tells of itself and of its pools', async () => {
  await using one = await running()
  await one.send('/statements/1')
  await one.send('/tell/1', 'POST')
  for (const name of ['process_resident_memory_bytes', 'v8js_memory_heap_used_bytes', 'process_start_time_seconds', 'nodejs_eventloop_delay_seconds'] as const) assert.ok(total(one.metrics, name) > 0, name)
  const cpu = total(one.metrics, 'process_cpu_seconds_total')
  for (const endMs = monotonicMs() + 300; monotonicMs() < endMs;);
  assert.ok(total(one.metrics, 'process_cpu_seconds_total') - cpu > 0.02)
  assert.ok(total(one.metrics, 'nodejs_eventloop_time_seconds_total', { state: 'active' }) > 0)
  for (const pool of ['read', 'write']) assert.ok(total(one.metrics, 'db_client_connections', { service: 'shop', pool }) >= 1, pool)
  assert.ok(total(one.metrics, 'db_client_connections_max', { service: 'shop', pool: 'write' }) >= 1)
})

test('switched off, nothing is measured and everything works', async () => {
  await using one = await running(false)
  assert.equal(one.metrics, null)
  assert.deepEqual([await one.send('/statements/1'), await one.send('/kept/a'), await one.send('/kept/a'), await one.send('/tell/1', 'POST'), await one.send('/faulty')], [200, 200, 200, 200, 500])
  assert.equal(one.statistics.read().find(({ intent }) => intent === 'shop.statement')!.statements, 1)
})
