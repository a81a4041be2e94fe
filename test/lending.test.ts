/**
 * More commands than connections to write: who asks from outside is refused once a queue has stood
 * for a while; a seed, or whoever else calls from within, waits instead. Each is the other's control.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { monotonicMs } from '../src/base/time.ts'
import { application, service } from '../src/index.ts'
import { bootApplication } from './support/application.ts'

const desk = service('desk')
const input = z.object({ name: z.string() })
const hold = { input, output: z.object({}), key: (given: { name: string }) => given.name, priority: 'normal' } as const
const slow = desk.command({ ...hold, http: 'POST /slow', async run(context) { await context.sql`SELECT pg_sleep(0.1)`; return {} } })
const urgent = desk.command({ ...hold, http: 'POST /urgent', priority: 'critical', async run(context) { await context.sql`SELECT pg_sleep(0.1)`; return {} } })
const app = application('desks', { services: { desk: { desk, slow, urgent } } })

/** Fewer than the limiter lets in, more than there are connections. */
const crowdSize = 32
const lastsMs = 2_500
const refusal = /no connection for a transaction of desk was free/

/** What each of a crowd is answered that asks again and again. */
async function crowd(ask: (name: string) => Promise<string>): Promise<string[]> {
  const endMs = monotonicMs() + lastsMs
  const answers = await Promise.all(Array.from({ length: crowdSize }, async (_, person) => {
    const own: string[] = []
    for (let turn = 0; monotonicMs() < endMs; turn++) own.push(await ask(`${person}-${turn}`))
    return own
  }))
  return answers.flat()
}

test('connections to write are short', async t => {
  const running = await bootApplication(app)
  t.after(() => running.close())
  const post = (path: string) => async (name: string) => {
    const answer = await fetch(running.url! + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name }) })
    return `${answer.status} ${answer.headers.get('retry-after') ?? ''} ${await answer.text()}`
  }

  await t.test('who asks from outside is refused with 503 and Retry-After, and only for that', async () => {
    const answers = await crowd(post('/slow'))
    const refused = answers.filter(one => !one.startsWith('200'))
    assert.ok(refused.length > 0, 'nobody was refused')
    for (const one of refused) {
      assert.match(one, /^503 \d+ /)
      assert.match(one, refusal)
    }
    assert.ok(answers.length - refused.length >= lastsMs / 100, 'the connections were in use')
  })
  await t.test('what is critical waits', async () => {
    for (const one of await crowd(post('/urgent'))) assert.match(one, /^200 /)
  })
  await t.test('who calls from within waits', async () => {
    const answers = await crowd(name => running.invoke({ intent: 'desk.slow', input: { name } }).then(() => 'done'))
    assert.ok(answers.length >= crowdSize)
  })
})
