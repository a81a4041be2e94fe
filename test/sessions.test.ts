/** Sessions over HTTP, on each engine that keeps them: signing in and out, rotation, revocation, the cookie, and an engine that is away. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { sleep } from '../src/base/time.ts'
import { application, checkApplication, service } from '../src/index.ts'
import type { Topology } from '../src/index.ts'
import { skipWithout } from '../scripts/engines.ts'
import { bootApplication } from './support/application.ts'
import { patientMs, testRedis } from './support/redis.ts'

const accounts = service('accounts')
const Name = z.object({ name: z.string() })
const Who = z.object({ id: z.string().nullable(), role: z.string().nullable() })
const byName = { key: ({ name }: { name: string }) => name, input: Name, output: Name }
const mine = { auth: 'required', input: z.object({}), output: z.object({}), key: (_: unknown, { user }: { user: { id: string } }) => user.id, run: async () => ({}) } as const
const who = ({ user }: { readonly user: { readonly id: string; readonly role?: unknown } | null }) => ({ id: user?.id ?? null, role: user ? String(user.role) : null })

const app = (sessions = { idleMs: 60_000, absoluteMs: 3_600_000 }) => application('doors', {
  sessions,
  services: { accounts: {
    accounts,
    signIn: accounts.command({ ...byName, http: 'POST /sign-in', run: async (_, { name }) => ({ name }), session: { begin: ({ output }) => ({ id: output.name, role: 'guest' }) } }),
    promote: accounts.command({ ...mine, http: 'POST /promote', session: { rotate: ({ user }) => ({ ...user, role: 'admin' }) } }),
    signOut: accounts.command({ ...mine, http: 'POST /sign-out', session: { end: true } }),
    changePassword: accounts.command({ ...mine, http: 'POST /change-password', session: { endAll: ({ user }) => user.id, begin: ({ user }) => user } }),
    ban: accounts.command({ ...byName, http: 'POST /ban', run: async (_, { name }) => ({ name }), session: { endAll: ({ output }) => output.name } }),
    me: accounts.query({ http: 'GET /me', auth: 'required', scatter: true, input: z.object({}), output: Who, run: who }),
    anybody: accounts.query({ http: 'GET /anybody', auth: 'optional', scatter: true, input: z.object({}), output: Who, run: who }),
  } },
})

/** A browser: what it was given it sends. */
class Browser {
  readonly url: string
  cookie: string | undefined
  set: string | undefined
  constructor(url: string) { this.url = url }

  async send(route: string, body?: unknown, headers: Record<string, string> = {}) {
    const [method, path] = route.split(' ') as [string, string]
    const answer = await fetch(this.url + path, { method, body: body === undefined ? undefined : JSON.stringify(body), headers: { ...body === undefined ? {} : { 'content-type': 'application/json' }, ...this.cookie ? { cookie: `theme=dark; ${this.cookie}` } : {}, ...headers } })
    this.set = answer.headers.getSetCookie().find(one => one.startsWith('__Host-session='))
    if (this.set) this.cookie = this.set.includes('Max-Age=0') ? undefined : this.set.split(';')[0]
    return { status: answer.status, body: await answer.json().catch(() => null) as Record<string, unknown> | null }
  }

  async signIn(name = 'jane'): Promise<this> { assert.equal((await this.send('POST /sign-in', { name })).status, 200); return this }
  async who(): Promise<unknown> { return (await this.send('GET /anybody')).body?.id }
}

async function behaviours(url: string): Promise<void> {
  const [one, two] = [await new Browser(url).signIn(), await new Browser(url).signIn()]
  assert.match(one.cookie!, /^__Host-session=[\w-]{43}$/)
  assert.deepEqual((await one.send('GET /me')).body, { id: 'jane', role: 'guest' })

  const before = one.cookie
  await one.send('POST /promote', {})
  assert.notEqual(one.cookie, before)
  assert.deepEqual((await one.send('GET /me')).body, { id: 'jane', role: 'admin' })
  const thief = new Browser(url)
  thief.cookie = before
  assert.equal((await thief.send('GET /me')).status, 401, 'the id from before is worth nothing')
  assert.deepEqual((await thief.send('GET /anybody')).body, { id: null, role: null })

  const fixed = new Browser(url)
  fixed.cookie = `__Host-session=${'A'.repeat(43)}`
  await fixed.signIn('victim')
  assert.notEqual(fixed.cookie, `__Host-session=${'A'.repeat(43)}`, 'an id from outside is never taken over')

  const old = one.cookie
  await one.signIn('john')
  thief.cookie = old
  assert.equal((await thief.send('GET /me')).status, 401, 'who signs in anew has left the session before')

  const third = await new Browser(url).signIn()
  await two.send('POST /change-password', {})
  assert.deepEqual([await two.who(), await third.who(), await one.who()], ['jane', null, 'john'])
  await new Browser(url).send('POST /ban', { name: 'jane' })
  assert.deepEqual([await two.who(), await one.who()], [null, 'john'])
  thief.cookie = one.cookie
  await one.send('POST /sign-out', {})
  assert.equal(one.cookie, undefined)
  assert.deepEqual([await thief.who(), await one.who()], [null, null])

  const key = { 'idempotency-key': 'again' }
  const lost = new Browser(url)
  await lost.send('POST /sign-in', { name: 'jill' }, key)
  const retried = new Browser(url)
  await retried.send('POST /sign-in', { name: 'jill' }, key)
  assert.deepEqual([await lost.who(), await retried.who()], ['jill', 'jill'], 'a retry whose answer is remembered signs in as well')
}

test('sessions in the database, as an application gets them without saying anything', { timeout: 60_000 }, async t => {
  const running = await bootApplication(app({ idleMs: 60_000, absoluteMs: 3_600_000 }))
  t.after(() => running.close())
  await behaviours(running.url!)
  const browser = await new Browser(running.url!).signIn()
  assert.equal(browser.set!.split('; ').slice(1).join('; '), 'Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Lax')
})

test('they end when they are not used', { timeout: 60_000 }, async t => {
  const running = await bootApplication(app({ idleMs: 1_000, absoluteMs: 60_000 }))
  t.after(() => running.close())
  const browser = await new Browser(running.url!).signIn()
  await sleep(1_200)
  assert.equal((await browser.send('GET /me')).status, 401)
})

test('sessions in Redis, and a Redis that is away', { skip: skipWithout('redis'), timeout: 60_000 }, async t => {
  const redis = await testRedis('state')
  t.after(() => redis.close())
  const sessions: Topology['ports']['sessions'] = { driver: 'redis', url: redis.url, callMs: patientMs }
  const running = await bootApplication(app(), { sessions })
  t.after(() => running.close())
  await behaviours(running.url!)
  const kept = String(await redis.ask('KEYS', '*'))
  const browser = await new Browser(running.url!).signIn()
  assert.ok(!`${kept}${String(await redis.ask('KEYS', '*'))}`.includes(browser.cookie!.split('=')[1]!), 'the id itself is kept nowhere')
})

test('while their engine is away, strangers are answered, and who comes with a session is told to come again', { skip: skipWithout('redis'), timeout: 60_000 }, async t => {
  const redis = await testRedis('state')
  t.after(() => redis.close())
  const running = await bootApplication(app(), { sessions: { driver: 'redis', url: redis.url, callMs: 500 } })
  t.after(() => running.close())
  const browser = new Browser(running.url!)
  while ((await browser.send('POST /sign-in', { name: 'jane' })).status !== 200) await sleep(50)
  const resume = redis.hang()
  try {
    assert.deepEqual([(await browser.send('GET /me')).status, (await browser.send('GET /anybody')).status], [503, 503])
    assert.equal((await new Browser(running.url!).send('GET /anybody')).status, 200)
  } finally { resume() }
  while ((await browser.send('GET /me')).status === 503) await sleep(50)
  assert.equal(await browser.who(), 'jane')
})

test('what an application may not say of sessions', () => {
  assert.deepEqual(checkApplication(app()), [])
  assert.match(checkApplication(app({ idleMs: 1, absoluteMs: 10 })).join('\n'), /idleMs 1 /)
  assert.match(checkApplication(app({ idleMs: 60_000, absoluteMs: 30_000 })).join('\n'), /before idleMs 60000 can be over/)
  const other = service('other')
  const odd = other.command({ key: () => 'k', input: z.object({}), output: z.object({}), run: async () => ({}), session: { begin: () => ({ id: 'a' }), end: true, endAll: () => 'a', rotate: () => ({ id: 'a' }) } })
  const found = checkApplication(application('odd', { services: { other: { other, odd } } })).join('\n')
  assert.match(found, /the application has none; add sessions/)
  assert.match(found, /has no route/)
  assert.match(found, /more than one of begin, rotate and end/)
  assert.match(found, /ends all sessions and rotates one/)
})
