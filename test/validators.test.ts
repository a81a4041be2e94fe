/** Any Standard Schema will do: an application whose services validate with Valibot and with ArkType. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { application, service } from '../src/index.ts'
import { openApiOf } from '../src/model/openapi.ts'
import { bootApplication } from './support/application.ts'

const valibot = service('valibot')
const arktype = service('arktype')

/** Valibot offers JSON Schema where it is asked to; trimming is what that cannot express. */
const personOf = (name: v.GenericSchema<string>) => v.object({ name, age: v.optional(v.number(), 18), address: v.object({ city: v.string() }) })
const ValibotPerson = toStandardJsonSchema(personOf(v.pipe(v.string(), v.transform(text => text.trim()), v.string(), v.minLength(1, 'is empty'))))
const ValibotAnswer = toStandardJsonSchema(v.object({ name: v.string(), age: v.number(), address: v.object({ city: v.string() }) }))
const ArkPerson = type({ name: type('string.trim').to('string > 0'), age: 'number = 18', address: { city: 'string' } })

/** Asks elsewhere, and offers no JSON Schema. */
const Nickname = v.objectAsync({ name: v.pipeAsync(v.string(), v.checkAsync(async name => name !== 'admin', 'is reserved')) })
const Length = v.object({ length: v.pipe(v.string(), v.transform(text => text.length)) })
const asText = (text: unknown) => String(text)

const app = application('validators', { services: {
  valibot: {
    valibot,
    register: valibot.command({ http: 'POST /valibot/people', status: 201, input: ValibotPerson, output: ValibotAnswer, key: ({ name }) => name, run: async (_, person) => person }),
    nickname: valibot.command({ http: 'POST /valibot/nicknames', input: Nickname, output: v.object({ name: v.string() }), key: ({ name }) => name, run: async (_, input) => input }),
    length: valibot.query({ http: 'GET /valibot/length/:text', scatter: true, input: v.object({ text: v.string() }), output: Length, run: (_, { text }) => ({ length: text }) }),
    page: valibot.query({ http: 'GET /valibot/page', scatter: true, input: toStandardJsonSchema(v.object({ limit: v.optional(v.pipe(v.string(), v.regex(/^\d+$/)), '20') })), output: v.object({ limit: v.string() }), run: (_, input) => input }),
    wrong: valibot.query({ http: 'GET /valibot/wrong', scatter: true, input: v.object({}), output: v.object({ n: v.number() }), run: () => ({ n: asText(1) as unknown as number }) }),
  },
  arktype: {
    arktype,
    register: arktype.command({ http: 'POST /arktype/people', status: 201, input: ArkPerson, output: type({ name: 'string', age: 'number', address: { city: 'string' } }), key: ({ name }) => name, run: async (_, person) => person }),
    page: arktype.query({ http: 'GET /arktype/page', scatter: true, input: type({ limit: type('string.integer.parse').default('20') }), output: type({ limit: 'number' }), run: (_, input) => input }),
    wrong: arktype.query({ http: 'GET /arktype/wrong', scatter: true, input: type({}), output: type({ n: 'number' }), run: () => ({ n: asText(1) as unknown as number }) }),
  },
} })

async function send(url: string, method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }> {
  const answer = await fetch(url + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) })
  return { status: answer.status, body: await answer.json() as Record<string, unknown> }
}

async function refusesWithPaths(url: string, vendor: string): Promise<void> {
  const pathsOf = (body: Record<string, unknown>) => (body.issues as { path: unknown[] }[]).map(issue => issue.path.join('.')).toSorted()
  const { status, body } = await send(url, 'POST', `/${vendor}/people`, { name: 'jane', age: 'old', address: { city: 1 } })
  assert.equal(status, 422)
  assert.deepEqual(pathsOf(body), ['address.city', 'age'])
  for (const { message } of body.issues as { message: string }[]) assert.match(message, /number|string/i)
  assert.deepEqual(pathsOf((await send(url, 'POST', `/${vendor}/people`, { name: '  ', address: { city: 'Bath' } })).body), ['name'])
  assert.equal((await send(url, 'POST', `/${vendor}/people`, [])).status, 422)
}

async function ofVendor(t: TestContext, url: string, vendor: string): Promise<void> {
  await t.test(`${vendor}: transforms and defaults reach the handler`, async () => {
    assert.deepEqual(await send(url, 'POST', `/${vendor}/people`, { name: ' jane ', address: { city: 'Bath' } }), { status: 201, body: { name: 'jane', age: 18, address: { city: 'Bath' } } })
  })
  await t.test(`${vendor}: what does not fit is refused, each issue with its path`, () => refusesWithPaths(url, vendor))
  await t.test(`${vendor}: an output that does not fit is a fault of the program, not of the caller`, async () => {
    const { status, body } = await send(url, 'GET', `/${vendor}/wrong`)
    assert.deepEqual([status, body.type, body.issues], [500, 'urn:tenfold:error:internal', undefined])
  })
}

test('validators', async t => {
  const running = await bootApplication(app)
  t.after(() => running.close())
  const url = running.url!
  for (const vendor of ['valibot', 'arktype']) await ofVendor(t, url, vendor)
  await t.test('defaults and transforms of a query string', async () => {
    assert.deepEqual(await send(url, 'GET', '/valibot/page'), { status: 200, body: { limit: '20' } })
    assert.deepEqual(await send(url, 'GET', '/arktype/page'), { status: 200, body: { limit: 20 } })
    assert.deepEqual(await send(url, 'GET', '/arktype/page?limit=5'), { status: 200, body: { limit: 5 } })
    for (const vendor of ['valibot', 'arktype']) assert.equal((await send(url, 'GET', `/${vendor}/page?limit=x`)).status, 422)
  })
  await t.test('an asynchronous refinement is waited for', async () => {
    assert.deepEqual(await send(url, 'POST', '/valibot/nicknames', { name: 'jane' }), { status: 200, body: { name: 'jane' } })
    const { status, body } = await send(url, 'POST', '/valibot/nicknames', { name: 'admin' })
    assert.deepEqual([status, body.issues], [422, [{ path: ['name'], message: 'is reserved' }]])
  })
  await t.test('an output may be transformed on its way out', async () => {
    assert.deepEqual(await send(url, 'GET', '/valibot/length/four'), { status: 200, body: { length: 4 } })
  })
})

const operations = openApiOf(app).paths as Record<string, Record<string, { requestBody?: Content; responses: Record<string, Content>; parameters: { name: string; in: string; required: boolean }[] }>>
interface Content { readonly content: Record<string, { schema: { properties?: Record<string, unknown>; required?: string[] } }> }
const schemaOf = (content: Content) => content.content['application/json']!.schema

test('OpenAPI has the schemas where the validator offers Standard JSON Schema', () => {
  for (const vendor of ['valibot', 'arktype']) {
    const { requestBody, responses } = operations[`/${vendor}/people`]!.post!
    assert.deepEqual(Object.keys(schemaOf(requestBody!).properties!).sort(), ['address', 'age', 'name'])
    assert.deepEqual(schemaOf(requestBody!).required!.toSorted(), ['address', 'name'], 'what has a default need not be sent')
    assert.deepEqual(schemaOf(responses['201']!).required!.toSorted(), ['address', 'age', 'name'], 'but is always answered')
    assert.deepEqual(operations[`/${vendor}/page`]!.get!.parameters.map(({ name, in: where, required }) => [name, where, required]), [['limit', 'query', false]])
  }
})

test('OpenAPI says "anything" where it does not', () => {
  const { requestBody, responses } = operations['/valibot/nicknames']!.post!
  assert.deepEqual(schemaOf(requestBody!), {})
  assert.deepEqual(schemaOf(responses['200']!), {})
  const { parameters, responses: answers } = operations['/valibot/length/{text}']!.get!
  assert.deepEqual(parameters.map(({ name, in: where }) => [name, where]), [['text', 'path']])
  assert.deepEqual(schemaOf(answers['200']!), {})
})
