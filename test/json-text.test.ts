/** An answer that is a text already: passed on byte by byte, to HTTP, to caches and to other services; and checked by samples. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { application, JsonText, service } from '../src/index.ts'
import { TextSamples } from '../src/runtime/schema.ts'
import { bootApplication } from './support/application.ts'

const things = service('things')
const shelves = service('shelves')
const output = z.object({ name: z.string(), sizes: z.array(z.number()) })

const one = things.query({
  http: 'GET /things/:name', scatter: true, input: z.object({ name: z.string() }), output,
  async run(context, { name }) {
    const [row] = await context.sql<{ text: string }>`SELECT concat('{"name": ', to_json(${name}::text), ', "sizes":[1, 2.50]}') AS text`
    return new JsonText(row!.text)
  },
})
/** Says more than its schema. */
const telling = things.query({ http: 'GET /telling', scatter: true, input: z.object({}), output, run: async () => new JsonText('{"name":"a","sizes":[],"secret":1}') })
const wrong = things.query({ http: 'GET /wrong', scatter: true, input: z.object({}), output, run: async () => new JsonText('{"name":1,"sizes":[]}') })

const plain = shelves.query({ http: 'GET /plain', scatter: true, input: z.object({}), output, run: context => context.call(one, { name: 'called' }) })
const nested = shelves.query({
  http: 'GET /nested', scatter: true, input: z.object({}), output: z.object({ things: z.array(output) }),
  run: async context => new JsonText(`{"things":[${(await context.callText(one, { name: 'a' })).text},${(await context.callText(plain, {})).text}]}`),
})

const app = application('texts', { services: { things: { things, one, telling, wrong }, shelves: { shelves, plain, nested } } })

for (const driver of ['memory', 'serialising'] as const) {
  test(`texts over the ${driver} transport`, async t => {
    const running = await bootApplication(app, { transport: driver === 'memory' ? { driver } : { driver, retries: 1 } })
    t.after(() => running.close())
    const get = async (path: string) => {
      const answer = await fetch(running.url! + path)
      return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() }
    }
    await t.test('HTTP gets the bytes that the database made', async () => {
      assert.deepEqual(await get('/things/a%22%C3%A9'), { status: 200, type: 'application/json; charset=utf-8', text: '{"name": "a\\"é", "sizes":[1, 2.50]}' })
    })
    await t.test('another service gets the value, or the text to put into its own', async () => {
      assert.equal((await get('/plain')).text, '{"name":"called","sizes":[1,2.5]}')
      assert.deepEqual(JSON.parse((await get('/nested')).text), { things: [{ name: 'a', sizes: [1, 2.5] }, { name: 'called', sizes: [1, 2.5] }] })
    })
    await t.test('whoever calls from within gets the value', async () => {
      assert.deepEqual(await running.invoke({ intent: 'things.one', input: { name: 'b' } }), { name: 'b', sizes: [1, 2.5] })
    })
    await t.test('a text that is not what its schema says is a fault of the program', async () => {
      for (const path of ['/telling', '/wrong']) assert.equal((await get(path)).status, 500, path)
    })
  })
}

test('all of the first texts are checked, then one of a hundred', () => {
  const samples = new TextSamples()
  const lie = new JsonText('{"name":1,"sizes":[]}')
  let refused = 0
  for (let run = 0; run < 1_200; run++) {
    try { samples.check(lie, wrong) } catch { refused++ }
  }
  assert.equal(refused, 200 + 10)
})
