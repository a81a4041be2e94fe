/**
 * A call in process and a call that crosses as text behave alike (I7). What differs is
 * pinned here, each with its reason: a new difference fails, and so does a pin whose
 * difference has gone. The list is meant to stay small.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { sleep } from '../../src/base/time.ts'
import { application, fault, isTenfoldError, service } from '../../src/index.ts'
import type { Topology } from '../../src/index.ts'
import type { Transport } from '../../src/ports/transport.ts'
import { bootApplication } from '../support/application.ts'

const far = service('far')
const near = service('near')

/** What the callee saw or did, for the runs of one case. */
const seen: unknown[] = []
const circle: Record<string, unknown> = { name: 'circle' }
circle.itself = circle
class Point { x = 1; y = 2 }
const proto = JSON.parse('{"__proto__":{"admin":true},"a":1}') as unknown

const values: Readonly<Record<string, () => unknown>> = {
  'text': () => ({ a: 'ü€😀\u0000\u2028', b: [1, 2.5, true, null] }),
  'lone surrogate': () => ({ a: '\ud800' }),
  'huge text': () => ({ a: 'x'.repeat(5_000_000) }),
  'deep nesting': () => { let value: unknown = 1; for (let depth = 0; depth < 500; depth++) value = [value]; return value },
  'undefined': () => undefined,
  'undefined in an object': () => ({ a: undefined, b: 1 }),
  'undefined in an array': () => ({ a: [undefined, 1] }),
  'hole in an array': () => ({ a: Array.from([1, 2]).concat(new Array<number>(1)) }),
  'not a number': () => ({ a: Number.NaN }),
  'infinity': () => ({ a: Number.POSITIVE_INFINITY }),
  'negative zero': () => ({ a: -0 }),
  'large number': () => ({ a: Number.MAX_SAFE_INTEGER, b: 1e300, c: 5e-324 }),
  'bigint': () => ({ a: 1n }),
  'symbol': () => ({ a: Symbol('s') }),
  'symbol as key': () => ({ [Symbol.for('s')]: 1, a: 1 }),
  'function': () => ({ a: () => 1 }),
  'date': () => ({ a: new Date(0) }),
  'map': () => ({ a: new Map([['k', 1]]) }),
  'set': () => ({ a: new Set([1]) }),
  'buffer': () => ({ a: Buffer.from('ab') }),
  'typed array': () => ({ a: new Uint8Array([1]) }),
  'class instance': () => ({ a: new Point() }),
  'error': () => ({ a: new Error('e') }),
  'boxed text': () => ({ a: Object('text') as unknown }),
  'toJSON of one\'s own': () => ({ a: { toJSON: () => 'short' } }),
  'object without prototype': () => ({ a: Object.assign(Object.create(null) as object, { k: 1 }) }),
  'getter': () => ({ get a() { return 1 } }),
  'frozen': () => Object.freeze({ a: Object.freeze([1]) }),
  'key __proto__': () => proto,
  'circle': () => circle,
  'shared twice': () => { const one = { n: 1 }; return { a: one, b: one } },
}

const answers: Readonly<Record<string, () => unknown>> = Object.fromEntries(Object.entries(values).map(([name, make]) => [`answer: ${name}`, make]))
const refusals: Readonly<Record<string, () => unknown>> = {
  'refusal with fields, issues and cause': () => fault('CONFLICT', 'taken', { fields: { name: ['has been taken'] }, issues: [{ path: ['a', 0], message: 'no' }], cause: new Error('underneath') }),
  'refusal with retryAfterMs': () => fault('OVERLOADED', 'later', { retryAfterMs: 1_234 }),
  'error of the program': () => new TypeError('secret of the callee'),
  'thrown text': () => 'just a text',
  'error with fields of its own': () => Object.assign(new Error('e'), { code: 'CONFLICT', status: 409 }),
}

const anything = z.unknown()
const app = application('diverge', { services: {
  far: {
    far,
    echo: far.query({ scatter: true, input: anything, output: anything, run: (_, input) => { seen.push(shapeOf(input)); return input } }),
    answer: far.query({ scatter: true, input: z.string(), output: anything, run: (_, name) => answers[name]!() }),
    refuse: far.query({ scatter: true, input: z.string(), output: anything, run: (_, name) => { throw refusals[name]!() as Error } }),
    change: far.query({ scatter: true, input: anything, output: anything, run: (_, input) => { (input as { list: number[] }).list.push(9); return input } }),
    keep: far.query({ scatter: true, input: anything, output: anything, run: () => kept }),
    slow: far.query({ scatter: true, input: z.number(), output: anything, run: async (context, ms) => { await sleep(ms, context.signal); return 'late' } }),
    who: far.query({ auth: 'optional', scatter: true, input: anything, output: anything, run: ({ user, requestId }) => { (user as { roles: string[] } | null)?.roles.push('added'); return { user, hasRequestId: requestId !== '' } } }),
    again: far.query({ scatter: true, input: anything, output: anything, run: () => { seen.push('ran'); return seen.length } }),
    write: far.command({ input: z.string(), output: z.string(), key: () => 'one', run: async (context, text) => { seen.push('ran'); await context.claim('text', text, 'me'); return 'written' } }),
  },
  near: {
    near,
    ask: near.query({ scatter: true, auth: 'optional', deadlineMs: 5_000, input: anything, output: anything, run: async (context, name) => { outcome = await outcomeOf(() => cases[name as string]!(context as unknown as Context)); return null } }),
    tell: near.job({ input: anything, run: async context => { outcome = await outcomeOf(() => cases['command twice']!(context as unknown as Context)); told.resolve() } }),
    order: near.command({ input: anything, output: anything, key: () => 'one', run: async context => { context.enqueue(app.intents.get('near.tell') as never, null); return null } }),
  },
}, authenticate: () => null })

interface Context { readonly user: unknown; call(intent: unknown, input: unknown): Promise<unknown> }
const kept = { list: [1] }
let outcome: unknown
let transport: Transport
let told = Promise.withResolvers<void>()
const to = (name: string) => app.intents.get(`far.${name}`)

const cases: Record<string, (context: Context) => Promise<unknown>> = {
  ...Object.fromEntries(Object.entries(values).map(([name, make]) => [name, async (context: Context) => ({ answer: shapeOf(await context.call(to('echo'), make())), seen: seen[0] })])),
  ...Object.fromEntries(Object.keys(answers).map(name => [name, async (context: Context) => shapeOf(await context.call(to('answer'), name))])),
  ...Object.fromEntries(Object.keys(refusals).map(name => [name, (context: Context) => context.call(to('refuse'), name)])),
  'callee changes its input': async context => { const mine = { list: [1] }; return [await context.call(to('change'), mine), mine] },
  'caller changes its answer': async context => { const answer = await context.call(to('keep'), null) as typeof kept; answer.list.push(9); return kept.list.length },
  'caller changes its input meanwhile': async context => { const mine = { list: [1] }; const answer = context.call(to('echo'), mine); mine.list.push(2); return answer },
  'callee changes the caller': async context => [await context.call(to('who'), null), context.user],
  'deadline': () => transport.call({ intent: 'far.slow', input: 20_000, repeatable: true, metadata: { timeoutMs: 200, traceparent: '', requestId: 'deadline', caller: null, depth: 1, priority: 'normal' } }),
  'deadline in the past': () => transport.call({ intent: 'far.again', input: null, repeatable: true, metadata: { timeoutMs: 0, traceparent: '', requestId: 'deadline', caller: null, depth: 1, priority: 'normal' } }),
  'intent that is not there': context => context.call({ kind: 'query', name: 'far.none' }, null),
  'service that is not there': context => context.call({ kind: 'query', name: 'none.none' }, null),
  'query may run twice': async context => [await context.call(to('again'), null), seen.length],
  'command twice': async context => [await context.call(to('write'), 'a'), seen],
}

/** A value as plain data that tells apart what JSON does not. */
function shapeOf(value: unknown): unknown {
  if (Object.is(value, -0)) return '-0'
  if (typeof value === 'string' && value.length > 100) return `${value.length} characters`
  if (value === undefined || typeof value === 'bigint' || typeof value === 'symbol' || typeof value === 'function' || Number.isNaN(value)) return `${typeof value} ${String(value)}`
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.flat(Number.POSITIVE_INFINITY).length === 1 ? ['one within arrays'] : Array.from(value, shapeOf)
  const prototype = Object.getPrototypeOf(value) as unknown
  const name = prototype === Object.prototype ? 'object' : prototype === null ? 'null prototype' : (value as object).constructor.name
  return { [name]: Object.keys(value).map(key => [key, Object.getOwnPropertyDescriptor(value, key)?.get ? 'getter' : shapeOf((value as Record<string, unknown>)[key])]) }
}

async function outcomeOf(work: () => Promise<unknown>): Promise<unknown> {
  seen.length = 0
  kept.list = [1]
  try {
    return { returned: await work() }
  } catch (error) {
    if (!isTenfoldError(error)) return { threw: error instanceof Error ? `${error.name}: ${error.message}` : shapeOf(error) }
    const { code, message, fields, issues, retryAfterMs, cause } = error
    return { refused: code, message, fields, issues, retryAfterMs, cause: cause instanceof Error ? `${cause.name}: ${cause.message}` : shapeOf(cause) }
  }
}

async function outcomesWith(driver: Topology['ports']['transport']): Promise<Record<string, unknown>> {
  const running = await bootApplication(app, { transport: driver })
  transport = running.engines.transport
  try {
    const outcomes: Record<string, unknown> = {}
    for (const name of Object.keys(cases).filter(one => one !== 'command twice')) {
      await running.invoke({ intent: 'near.ask', input: name, caller: { id: 'jane', roles: ['reader'] } })
      outcomes[name] = outcome
    }
    told = Promise.withResolvers<void>()
    await running.invoke({ intent: 'near.order', input: null })
    await told.promise
    outcomes['command twice'] = outcome
    return outcomes
  } finally {
    await running.close()
  }
}

/** What differs, and why it may. */
const pins: Readonly<Record<string, string>> = {
  'hole in an array': 'a copy keeps the hole, text makes it null',
  'answer: hole in an array': 'as above',
  'negative zero': 'JSON has no negative zero; telling it apart in process would cost every number',
  'answer: negative zero': 'as above',
  'error of the program': 'what is not a refusal shows nothing of itself to another process; the callee logs it',
  'thrown text': 'as above',
  'query may run twice': 'the serialising transport repeats what may be repeated',
}

test('a call in process differs from one that crosses as text only where it is pinned', async () => {
  const inProcess = await outcomesWith({ driver: 'memory' })
  const asText = await outcomesWith({ driver: 'serialising', retries: 1 })
  const differing = Object.keys(cases).filter(name => JSON.stringify(inProcess[name]) !== JSON.stringify(asText[name]))
  const shown = (name: string) => `${name}\n  in process: ${JSON.stringify(inProcess[name])}\n  as text:    ${JSON.stringify(asText[name])}`
  assert.deepEqual([inProcess['text'], inProcess['command twice']], [{ returned: { answer: { object: [['a', 'ü€😀\u0000\u2028'], ['b', [1, 2.5, true, null]]] }, seen: { object: [['a', 'ü€😀\u0000\u2028'], ['b', [1, 2.5, true, null]]] } } }, { returned: ['written', ['ran']] }])
  for (const name of differing) assert.ok(name in pins, `a new difference; mend it, or pin it with its reason:\n${shown(name)}`)
  for (const name of Object.keys(pins)) assert.ok(differing.includes(name), `a difference has gone; take its pin out:\n${shown(name)}`)
})
