/** The ghost cache against the real one, on the same stream of questions: what it foretells is what keeping answers brings. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { installClock, systemClock } from '../../src/base/time.ts'
import { seededFraction, zipfRank } from '../../src/load/draw.ts'
import { openMemoryCache } from '../../src/drivers/memory/cache.ts'
import type { Query } from '../../src/model/query.ts'
import { GhostCache, ghostSizes } from '../../src/runtime/ghost-cache.ts'

let nowMs = 0
let restore = () => {}
beforeEach(() => {
  nowMs = 0
  restore = installClock({ ...systemClock, now: () => nowMs, monotonicMs: () => nowMs })
})
afterEach(() => restore())

const freshMs = 10_000
const intentOf = (fresh?: number) => ({ name: 'shop.list', definition: fresh === undefined ? {} : { freshness: { freshMs: fresh } } }) as unknown as Query

interface Stream { readonly keys: number; readonly questions: number; readonly bytes: number; readonly writes: number; readonly size: 0 | 1 | 2 }

/** Questions 5 ms apart, of Zipf's popularity, a part of them followed by a write that makes one answer untrue. */
async function replay({ keys, questions, bytes, writes, size }: Stream) {
  const random = seededFraction(7)
  const ghost = new GhostCache()
  const real = openMemoryCache({ bytesMax: ghostSizes[size] })
  const value = Buffer.alloc(bytes)
  const intent = intentOf(freshMs)
  ghost.begin(questions * 5 / 2)
  let hits = 0
  for (let count = 0; count < questions; count++) {
    const name = `item ${zipfRank(random, keys, 0.9)}`
    const entry = await real.get(name)
    if (entry && count >= questions / 2) hits++
    if (!entry) await real.set({ key: name, value, ttlMs: freshMs, generation: real.begin(), note: { freshUntilMs: 0, positions: [], readFor: null, etag: '', refusal: false, tags: [name] } })
    ghost.ask({ intent, key: name, hasToken: false })?.keep(bytes, [name])
    if (random() < writes) {
      const changed = `item ${zipfRank(random, keys, 0.9)}`
      await real.invalidate([changed])
      ghost.invalidate([changed])
    }
    nowMs += 5
  }
  const [reading] = ghost.end()
  return { real: hits / (questions / 2), ghost: reading!.sizes[size]!.hits, reading: reading! }
}

const streams: Readonly<Record<string, readonly [Stream, within: number]>> = {
  'all fit': [{ keys: 500, questions: 8_000, bytes: 2_000, writes: 0, size: 1 }, 0.01],
  'many become untrue': [{ keys: 500, questions: 8_000, bytes: 2_000, writes: 0.5, size: 1 }, 0.01],
  'they do not fit': [{ keys: 4_000, questions: 12_000, bytes: 40_000, writes: 0.05, size: 0 }, 0.02],
  'more keys than are looked at': [{ keys: 60_000, questions: 40_000, bytes: 4_000, writes: 0, size: 1 }, 0.06],
}

for (const [name, [stream, within]] of Object.entries(streams)) {
  test(`${name}: the share of hits is foretold`, { timeout: 60_000 }, async () => {
    const { real, ghost: [least, most] } = await replay(stream)
    assert.ok(least - within <= real && real <= most + within, `${least} to ${most}, and really ${real}`)
    assert.ok(Math.abs(least - real) <= within, `${least}, and really ${real}`)
  })
}

test('off it sees nothing; sessions that may have written something are hits perhaps', () => {
  const ghost = new GhostCache()
  assert.equal(ghost.isOn, false)
  assert.equal(ghost.ask({ intent: intentOf(), key: 'a', hasToken: false }), null)
  assert.deepEqual(ghost.end(), [])
  ghost.begin(0)
  ghost.ask({ intent: intentOf(), key: 'a', hasToken: true })!.keep(100, [])
  for (let count = 0; count < 3; count++) assert.equal(ghost.ask({ intent: intentOf(), key: 'a', hasToken: true }), null, 'it would have been a hit')
  const [reading] = ghost.end()
  assert.deepEqual([reading!.requests, reading!.keys, reading!.isDeclared, reading!.sizes[0]!.hits], [4, 1, false, [0, 1]])
  assert.equal(ghost.isOn, false)
})

test('what may lag would be given on for half of its lag, to nobody in particular', () => {
  const intent = { name: 'shop.list', definition: { freshness: { freshMs, lagMs: 1_000 } } } as unknown as Query
  const ghost = new GhostCache()
  ghost.begin(0)
  ghost.ask({ intent, key: 'a', hasToken: false, mayLag: true })!.keep(100, ['x'])
  nowMs += 499
  ghost.invalidate(['x'])
  assert.equal(ghost.ask({ intent, key: 'a', hasToken: false, mayLag: true }), null)
  assert.notEqual(ghost.ask({ intent, key: 'a', hasToken: false }), null)
  nowMs += 1
  assert.notEqual(ghost.ask({ intent, key: 'a', hasToken: false, mayLag: true }), null)
})
