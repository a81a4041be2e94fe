/** The checker of session guarantees, on histories that are known: each bad one is called by its name, the good ones are left alone. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { randomFrom } from '../support/seeded-random.ts'
import { violationsOf } from './history.ts'
import type { Guarantee, Operation } from './history.ts'

/** `w x1` writes version 1 of x, `r x1` reads it; `!` in front: the token no longer counted. */
function historyOf(sessions: Readonly<Record<string, string>>): ReadonlyMap<string, readonly Operation[]> {
  return new Map(Object.entries(sessions).map(([session, text]) => [session, text.split(', ').map((one): Operation => {
    const [, forgets, kind, cell, version] = /^(!?)([wr]) ([a-z])(\d+)$/.exec(one)!
    return { kind: kind === 'w' ? 'write' : 'read', by: 'test', cell: cell!, version: Number(version), forgets: forgets === '!' }
  })]))
}

const bad: readonly (readonly [what: string, guarantee: Guarantee, sessions: Readonly<Record<string, string>>])[] = [
  ['a write is not seen', 'read your writes', { a: 'w x1, r x0' }],
  ['a later write is not seen, an earlier one is', 'read your writes', { a: 'w x1, w x2, r x1' }],
  ['time goes backwards', 'monotonic reads', { a: 'w x1', b: 'r x1, r x0' }],
  ['time goes backwards between two ways of reading, with others in between', 'monotonic reads', { a: 'w x1, w x2', b: 'r x2, r y0, r x1' }],
  ['a write is ordered before what its session had read', 'writes follow reads', { a: 'w x3', b: 'r x3, w x2' }],
  ['an answer is seen without its question', 'writes follow reads', { a: 'w x1', b: 'r x1, w y1', c: 'r y1, r x0' }],
  ['the same over one more session', 'writes follow reads', { a: 'w x1', b: 'r x1, w y1', c: 'r y1, w z1', d: 'r z1, r x0' }],
  ['and where the session that asked comes last', 'writes follow reads', { d: 'r z1, r x0', c: 'r y1, w z1', b: 'r x1, w y1', a: 'w x1' }],
  ['a session reads the answer to its own question, and not the question', 'read your writes', { a: 'w x1, r y1, r x0', b: 'r x1, w y1' }],
  ['two writes have the same version', 'one version, one write', { a: 'w x1', b: 'w x1' }],
  ['a token counts again after one that did not', 'monotonic reads', { a: 'w x2', b: '!r x1, r x2, r x1' }],
]

for (const [what, guarantee, sessions] of bad) {
  test(`found out: ${what}`, () => assert.deepEqual([...new Set(violationsOf(historyOf(sessions)).map(one => one.guarantee))].includes(guarantee), true, JSON.stringify(violationsOf(historyOf(sessions)))))
}

const good: readonly (readonly [what: string, sessions: Readonly<Record<string, string>>])[] = [
  ['one session alone', { a: 'w x1, r x1, w x2, r x2, r y0' }],
  ['who has seen nothing may be shown what is old', { a: 'w x1, w x2', b: 'r x1, r x2', c: 'r x0, r x2' }],
  ['a question without its answer', { a: 'w x1', b: 'r x1, w y1', c: 'r x1, r y0, r y1' }],
  ['a write that did not follow a read carries nothing along', { a: 'w x1', b: 'w y1, r x1', c: 'r y1, r x0' }],
  ['what a token no longer names', { a: 'w x2', b: 'r x2, !r x1, r x2' }],
]

for (const [what, sessions] of good) test(`left alone: ${what}`, () => assert.deepEqual(violationsOf(historyOf(sessions)), []))

/** Sessions on a store that is one map: nothing can be wrong. `stale` gives some reads what was there before. */
function randomHistory(seed: number, stale: number): ReadonlyMap<string, readonly Operation[]> {
  const random = randomFrom(seed)
  const cells = ['x', 'y', 'z']
  const versions = new Map(cells.map(cell => [cell, 0]))
  const history = new Map<string, Operation[]>(Array.from({ length: 6 }, (_, index) => [`s${index}`, []]))
  for (let step = 0; step < 600; step++) {
    const session = `s${Math.floor(random.fraction() * 6)}`
    const cell = cells[Math.floor(random.fraction() * 3)]!
    const kind = random.fraction() < 0.3 ? 'write' : 'read'
    if (kind === 'write') versions.set(cell, versions.get(cell)! + 1)
    const isStale = kind === 'read' && random.fraction() < stale
    history.get(session)!.push({ kind, by: 'map', cell, version: Math.max(0, versions.get(cell)! - (isStale ? 3 : 0)) })
  }
  return history
}

test('random histories of one map are left alone; with a few stale reads they are found out', () => {
  for (let seed = 1; seed <= 50; seed++) {
    assert.deepEqual(violationsOf(randomHistory(seed, 0)), [], `seed ${seed}`)
    assert.ok(violationsOf(randomHistory(seed, 0.05)).length > 0, `seed ${seed}`)
  }
})
