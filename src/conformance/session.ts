/** What every driver of the session port must do: let in who has signed in, everywhere, and nobody else. */
import assert from 'node:assert/strict'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Sessions } from '../ports/session.ts'
import { suite } from './check.ts'

export interface SessionSubject {
  readonly one: Sessions
  /** Another process of the same deployment. */
  readonly other: Sessions
  /** Fault 'restart': the engine's process is killed, and comes back. */
  restart?(): Promise<void>
}

const hour = { idleMs: 3_600_000, absoluteMs: 3_600_000 }
const jane = { subject: 'jane', claims: '{"id":"jane"}' }
const patienceMs = 20_000

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = monotonicMs() + patienceMs
  while (!await condition()) {
    assert.ok(monotonicMs() < deadlineMs, `${what} within ${patienceMs} ms`)
    await sleep(10)
  }
}

/** Uses one of two until the other has ended; false when it could not be used in time. */
async function usedOutlivesIdle(one: Sessions, other: Sessions, name: string): Promise<boolean> {
  const policy = { idleMs: 1_000, absoluteMs: 3_600_000 }
  const startedAtMs = monotonicMs()
  await Promise.all([one.begin(`idle ${name}`, jane, policy), one.begin(`used ${name}`, jane, policy)])
  let usedAtMs = startedAtMs
  while (monotonicMs() - startedAtMs < 2 * policy.idleMs) {
    const found = await other.use(`used ${name}`)
    if (monotonicMs() - usedAtMs > policy.idleMs / 2) return false
    assert.deepEqual(found, jane, `after ${monotonicMs() - startedAtMs} ms`)
    usedAtMs = monotonicMs()
    await sleep(100)
  }
  assert.equal(await one.use(`idle ${name}`), null)
  return true
}

export const sessionSuite = suite<SessionSubject>('session', {
  'what one begins both know, as it was begun': async ({ one, other }) => {
    await one.begin('a', jane, hour)
    assert.deepEqual([await one.use('a'), await other.use('a'), await other.use('b')], [jane, jane, null])
  },
  'subjects and claims hold anything': async ({ one, other }) => {
    for (const text of ['', 'a\nb', "a' OR 'a'='a", 'Zürich 💡', 'x'.repeat(5_000)]) {
      const state = { subject: text, claims: text }
      await one.begin(`key ${text.length}`, state, hour)
      assert.deepEqual(await other.use(`key ${text.length}`), state)
      assert.equal(await other.endAll(text), 1)
    }
  },
  'one that is not used ends, one that is used does not': async ({ one, other }) => {
    // A machine that stood still for too long says nothing: once more.
    for (let attempt = 0; !await usedOutlivesIdle(one, other, `${attempt}`); attempt++) assert.ok(attempt < 10, 'the machine stands still too often')
  },
  'in the end each ends, used or rotated': async ({ one, other }) => {
    const policy = { idleMs: 3_600_000, absoluteMs: 800 }
    await one.begin('a', jane, policy)
    await one.begin('b', jane, policy)
    assert.equal(await other.rotate('b', 'c', jane.claims), true)
    await until('they end', async () => await other.use('a') === null && await other.use('c') === null)
  },
  'rotation takes the session along, and leaves nothing': async ({ one, other }) => {
    await one.begin('a', jane, hour)
    assert.equal(await other.rotate('a', 'b', '{"id":"jane","is":"admin"}'), true)
    assert.deepEqual([await one.use('a'), await one.use('b')], [null, { subject: 'jane', claims: '{"id":"jane","is":"admin"}' }])
    assert.equal(await one.endAll('jane'), 1)
    assert.equal(await other.use('b'), null)
  },
  'what is not there is not rotated, and of many rotations at once one is': async ({ one, other }) => {
    assert.equal(await one.rotate('none', 'b', '{}'), false)
    assert.equal(await one.use('b'), null)
    await one.begin('a', jane, hour)
    const rotated = await Promise.all(Array.from({ length: 10 }, (_, index) => (index % 2 ? one : other).rotate('a', `a${index}`, '{}')))
    assert.equal(rotated.filter(done => done).length, 1)
    const living = await Promise.all(Array.from({ length: 10 }, (_, index) => one.use(`a${index}`)))
    assert.deepEqual(living.map(state => state !== null), rotated)
  },
  'to end one leaves the others': async ({ one, other }) => {
    for (const key of ['a', 'b']) await one.begin(key, jane, hour)
    await other.end('a')
    await other.end('none')
    assert.deepEqual([await one.use('a'), await one.use('b')], [null, jane])
  },
  'to end all of a subject leaves those of others, and whoever signs in again': async ({ one, other }) => {
    const john = { subject: 'john', claims: '{}' }
    await Promise.all([one.begin('a', jane, hour), other.begin('b', jane, hour), one.begin('c', john, hour)])
    assert.equal(await other.endAll('jane'), 2)
    assert.equal(await other.endAll('jane'), 0)
    assert.deepEqual([await one.use('a'), await one.use('b'), await one.use('c')], [null, null, john])
    await one.begin('d', jane, hour)
    assert.deepEqual(await other.use('d'), jane)
  },
  'pruning changes no answer': async ({ one, other }) => {
    await one.begin('old', jane, { idleMs: 1, absoluteMs: 1 })
    await one.begin('young', jane, hour)
    await sleep(10)
    await other.prune()
    assert.deepEqual([await one.use('old'), await one.use('young')], [null, jane])
  },
  'the death of the engine ends none, and brings none back': {
    fault: 'restart',
    async run({ one, other, restart }) {
      for (const key of ['living', 'ended', 'moved']) await one.begin(key, jane, hour)
      await one.end('ended')
      await one.rotate('moved', 'here', jane.claims)
      await restart!()
      const answers = (sessions: Sessions) => sessions.use('living').then(() => true, () => false)
      await until('both are up', async () => await answers(one) && answers(other))
      assert.deepEqual([await one.use('living'), await other.use('ended'), await one.use('moved'), await other.use('here')], [jane, null, null, jane])
    },
  },
  'close may be called twice': async ({ one }) => {
    await one.close()
    await one.close()
  },
})
