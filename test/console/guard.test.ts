/** Who may do what at the admin port: on loopback, elsewhere, with a token, with a session, from another origin. */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { isTenfoldError } from '../../src/base/errors.ts'
import { installClock, systemClock } from '../../src/base/time.ts'
import { csrfHeader, Guard } from '../../src/admin/guard.ts'
import type { AdminRoute } from '../../src/admin/route.ts'

const adminToken = 'the-token-of-the-data-folder'
const look: AdminRoute = { method: 'GET', path: '/status', answer: () => ({}) }
const act: AdminRoute = { method: 'POST', path: '/restart', answer: () => ({}) }
const guardAt = (host: string, login = false) => new Guard({ adminToken, host, port: 4000, login })
const request = (headers: Record<string, string>) => ({ headers: { host: '127.0.0.1:4000', ...headers } }) as unknown as IncomingMessage
const bearer = { authorization: `Bearer ${adminToken}` }

/** The code of the refusal; null when it is let through. */
function outcome(guard: Guard, headers: Record<string, string>, route: AdminRoute): string | null {
  try { guard.check(request(headers), route) } catch (error) { if (isTenfoldError(error)) return error.code; throw error }
  return null
}

function sessionOf(guard: Guard, kind: 'guest' | 'member') {
  const { csrf, ...session } = guard.sessions.begin(kind)
  return { cookie: guard.sessions.header({ ...session, csrf }).split(';')[0]!, csrf }
}

test('on loopback everybody may look, and who acts shows the token or a session', () => {
  const guard = guardAt('127.0.0.1')
  const { cookie, csrf } = sessionOf(guard, 'guest')
  assert.equal(outcome(guard, {}, look), null)
  assert.equal(outcome(guard, {}, act), 'UNAUTHENTICATED')
  assert.equal(outcome(guard, bearer, act), null)
  assert.equal(outcome(guard, { authorization: 'Bearer another' }, act), 'UNAUTHENTICATED')
  assert.equal(outcome(guard, { cookie, [csrfHeader]: csrf }, act), null)
})

test('an action of another origin, or without the CSRF token, is refused', () => {
  const guard = guardAt('127.0.0.1')
  const { cookie, csrf } = sessionOf(guard, 'guest')
  const other = sessionOf(guard, 'guest')
  assert.equal(outcome(guard, { cookie }, act), 'FORBIDDEN')
  assert.equal(outcome(guard, { cookie, [csrfHeader]: other.csrf }, act), 'FORBIDDEN')
  const all: Record<string, string>[] = [{ origin: 'http://evil.example' }, { origin: 'null' }, { origin: 'http://127.0.0.1:3000' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]
  for (const foreign of all) {
    assert.equal(outcome(guard, { cookie, [csrfHeader]: csrf, ...foreign }, act), 'FORBIDDEN', JSON.stringify(foreign))
  }
  assert.equal(outcome(guard, { cookie, [csrfHeader]: csrf, origin: 'http://127.0.0.1:4000', 'sec-fetch-site': 'same-origin' }, act), null)
})

test('elsewhere, or when it is asked for, the token is needed to look', () => {
  for (const guard of [guardAt('0.0.0.0'), guardAt('192.168.1.5'), guardAt('127.0.0.1', true)]) {
    const [guest, member] = [sessionOf(guard, 'guest'), sessionOf(guard, 'member')]
    assert.equal(outcome(guard, {}, look), 'UNAUTHENTICATED')
    assert.equal(outcome(guard, { cookie: guest.cookie }, look), 'UNAUTHENTICATED', 'a guest of the time before')
    assert.equal(outcome(guard, { cookie: guest.cookie, [csrfHeader]: guest.csrf }, act), 'UNAUTHENTICATED')
    assert.equal(outcome(guard, {}, { ...look, open: true }), null)
    assert.equal(outcome(guard, bearer, look), null)
    assert.equal(outcome(guard, { cookie: member.cookie }, look), null)
    assert.equal(outcome(guard, { cookie: member.cookie }, act), 'FORBIDDEN')
    assert.equal(outcome(guard, { cookie: member.cookie, [csrfHeader]: member.csrf }, act), null)
  }
})

test('a session is forged by nobody, is of one deployment, and ends', () => {
  const guard = guardAt('127.0.0.1', true)
  const { cookie } = sessionOf(guard, 'member')
  assert.equal(guard.sessions.read(cookie)?.kind, 'member')
  assert.equal(guard.sessions.read(cookie.replace(/.$/, last => last === 'A' ? 'B' : 'A')), null)
  assert.equal(guard.sessions.read(sessionOf(guard, 'guest').cookie.replace('guest', 'member')), null)
  assert.equal(new Guard({ adminToken: 'another', host: '127.0.0.1', port: 4000 }).sessions.read(cookie), null)
  const back = installClock({ ...systemClock, now: () => Date.now() + 13 * 3_600_000 })
  try { assert.equal(guard.sessions.read(cookie), null) } finally { back() }
  assert.equal(guard.sessions.read(cookie)?.kind, 'member', 'only time has ended it')
})

test('on loopback a Host that is not this machine is refused', () => {
  const hostOutcome = (guard: Guard, host: string) => { try { guard.assertHost(request({ host })) } catch (error) { return (error as { code: string }).code } return null }
  const guard = guardAt('127.0.0.1')
  for (const host of ['127.0.0.1:4000', 'localhost:4000', 'LOCALHOST', '[::1]:4000', 'tenfold.localhost']) assert.equal(hostOutcome(guard, host), null, host)
  for (const host of ['evil.example', 'localhost.evil.example:4000', '127.0.0.1.nip.io', '10.0.0.1:4000', '']) assert.equal(hostOutcome(guard, host), 'FORBIDDEN', host)
  // There the session is what protects: its cookie does not go to a name that was made to point here.
  assert.equal(hostOutcome(guardAt('0.0.0.0'), 'admin.example'), null)
})
