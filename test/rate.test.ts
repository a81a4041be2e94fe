/** Rates at the edge: whose calls count together, where a request comes from, and what happens when nothing can be counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { silentLogger } from '../src/base/log.ts'
import { openMemoryRates } from '../src/drivers/memory/rate.ts'
import { application, checkApplication, service } from '../src/index.ts'
import type { Rate } from '../src/index.ts'
import type { Rates } from '../src/ports/rate.ts'
import { RateGate } from '../src/runtime/rate-gate.ts'
import { addressOf } from '../src/runtime/request.ts'
import { checkTopology } from '../src/topology/plan.ts'
import monolith from '../examples/conduit/topologies/1-monolith.ts'
import tuned from '../examples/conduit/topologies/2-tuned.ts'

const once = (per: Rate['per']): Rate => ({ limit: 1, windowMs: 60_000, per })
const gateOver = (rates: Rates) => new RateGate({ rates, log: silentLogger })
const jane = { caller: { id: 'jane' }, address: '10.0.0.1' }
const john = { caller: { id: 'john' }, address: '10.0.0.1' }
const nobody = { caller: null, address: '10.0.0.1' }
const elsewhere = { caller: { id: 'jane' }, address: '10.0.0.2' }

async function passes(rate: Rate, ...senders: (typeof nobody | typeof jane)[]): Promise<boolean[]> {
  const gate = gateOver(openMemoryRates())
  const passed: boolean[] = []
  for (const sender of senders) passed.push((await gate.pass('notes.add', rate, sender)).refusal === null)
  return passed
}

test('by caller: wherever they come from; strangers by their address', async () => {
  assert.deepEqual(await passes(once('caller'), jane, john, nobody, elsewhere, nobody), [true, true, true, false, false])
})

test('by address: whoever they are', async () => {
  assert.deepEqual(await passes(once('address'), jane, john, elsewhere), [true, false, true])
})

test('everybody together', async () => {
  assert.deepEqual(await passes(once('everybody'), jane, elsewhere, nobody), [true, false, false])
})

test('intents are counted apart, and a caller cannot be taken for an address', async () => {
  const gate = gateOver(openMemoryRates())
  assert.equal((await gate.pass('notes.add', once('caller'), jane)).refusal, null)
  assert.equal((await gate.pass('notes.list', once('caller'), jane)).refusal, null)
  assert.equal((await gate.pass('notes.add', once('caller'), { caller: null, address: 'jane' })).refusal, null)
})

test('the headers say the policy, what is left and when; the refusal when to come again', async () => {
  const gate = gateOver(openMemoryRates())
  const rate: Rate = { limit: 2, windowMs: 60_000, per: 'caller' }
  const first = await gate.pass('notes.add', rate, jane)
  assert.deepEqual(first.headers, { 'ratelimit-policy': '"notes.add";q=2;w=60', ratelimit: '"notes.add";r=1;t=30' })
  await gate.pass('notes.add', rate, jane)
  const { headers, refusal } = await gate.pass('notes.add', rate, jane)
  assert.match(headers.ratelimit!, /^"notes.add";r=0;t=30$/)
  assert.deepEqual([refusal?.code, refusal?.status], ['RATE_LIMITED', 429])
  assert.match(refusal!.message, /notes\.add takes 2 calls in 60 s from one caller: the next one passes in 30 s/)
  assert.ok(refusal!.retryAfterMs! > 29_000 && refusal!.retryAfterMs! <= 30_000)
})

test('an engine that does not answer refuses nobody', async () => {
  const gate = gateOver({ ...openMemoryRates(), take: async () => { throw new Error('gone') } })
  assert.deepEqual(await gate.pass('notes.add', once('caller'), jane), { headers: {}, refusal: null })
})

test('while the engine does not answer each process counts for itself, and tells how often', async () => {
  let isAway = true
  const shared = openMemoryRates()
  const gate = new RateGate({ rates: { ...shared, take: (name, policy) => isAway ? Promise.reject(new Error('gone')) : shared.take(name, policy) }, local: openMemoryRates(), log: silentLogger })
  const pass = async () => (await gate.pass('notes.add', once('caller'), jane)).refusal?.code ?? null
  assert.deepEqual([await pass(), await pass()], [null, 'RATE_LIMITED'])
  assert.equal(gate.alone.value, 2)
  isAway = false
  assert.equal(await pass(), null)
  assert.equal(gate.alone.value, 2)
})

test('behind proxies the address is what the outermost trusted one wrote', () => {
  const from = (forwarded: string | undefined, proxies: number) => addressOf({ headers: { 'x-forwarded-for': forwarded }, remoteAddress: '127.0.0.1' }, proxies)
  assert.equal(from('1.1.1.1', 0), '127.0.0.1')
  assert.equal(from('6.6.6.6, 1.1.1.1', 1), '1.1.1.1')
  assert.equal(from('6.6.6.6, 1.1.1.1, 10.0.0.1', 2), '1.1.1.1')
  assert.equal(from(undefined, 1), '127.0.0.1')
  assert.equal(from('1.1.1.1', 2), '127.0.0.1')
})

const notes = service('notes')
const declared = (rate: Rate, http: 'GET /notes' | null = 'GET /notes') => {
  const list = notes.query({ ...http ? { http } : {}, rate, scatter: true, input: z.object({}), output: z.object({}), run: async () => ({}) })
  return application('rated', { services: { notes: { notes, list } } })
}

test('what a rate may not say', () => {
  assert.deepEqual(checkApplication(declared({ limit: 10, windowMs: 1_000, per: 'caller' })), [])
  assert.match(checkApplication(declared({ limit: 0, windowMs: 0, per: 'me' as 'caller' })).join('\n'), /limit 0.*\n.*windowMs 0.*\n.*per "me"/)
  assert.match(checkApplication(declared({ limit: 10, windowMs: 1_000, per: 'caller' }, null)).join('\n'), /has a rate but no route/)
})

test('several processes that would count for themselves are refused (I10)', () => {
  const app = declared(once('caller'))
  assert.deepEqual([checkTopology(app, monolith), checkTopology(app, tuned)], [[], []])
  assert.match(checkTopology(app, { ...tuned, ports: { ...tuned.ports, rate: { driver: 'memory' } } }).join('\n'), /notes\.list has a rate, and several processes would each count for themselves \(I10\).*'postgres'/)
  const onRedis = { ...tuned, ports: { ...tuned.ports, rate: { driver: 'redis' } } } as const
  assert.match(checkTopology(app, onRedis).join('\n'), /ports\.rate is on Redis, and the topology has none; set ports\.redis/)
  assert.deepEqual(checkTopology(app, { ...onRedis, ports: { ...onRedis.ports, redis: { embedded: true, memoryBytesMax: 1 } } }), [])
  // Where nothing has a rate there is nothing to count.
  const free = application('free', { services: { notes: { notes } } })
  assert.deepEqual(checkTopology(free, { ...tuned, ports: { ...tuned.ports, rate: { driver: 'memory' } } }), [])
})
