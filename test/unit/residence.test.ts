/** Where the time of a request went: the parts add up to it, and what overlaps counts once. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { installClock, systemClock } from '../../src/base/time.ts'
import { divideTime } from '../../src/runtime/residence.ts'
import { Tracer } from '../../src/runtime/tracer.ts'
import type { Happening, Span } from '../../src/runtime/span.ts'

let nowMs = 0
let restore = () => {}
beforeEach(() => {
  nowMs = 0
  restore = installClock({ ...systemClock, monotonicMs: () => nowMs })
})
afterEach(() => restore())

const lasting = (parent: Span, what: Happening, ms: number): Span => {
  const span = parent.begin(what, 'shop')
  nowMs += ms
  span.end()
  return span
}

function request(work: (root: Span) => void) {
  const tracer = new Tracer()
  const root = tracer.begin('request', 'shop.list')
  work(root)
  tracer.finish(root)
  const parts: Record<string, number> = {}
  divideTime(root.trace, (place, ms) => { if (ms > 0) parts[place] = (parts[place] ?? 0) + ms })
  assert.equal(Object.values(parts).reduce((sum, one) => sum + one, 0), root.endMs - root.startMs, 'the parts add up')
  return parts
}

test('a command waits for its connection, its statements and COMMIT; between them it is its own', () => {
  assert.deepEqual(request(root => {
    nowMs += 1
    const transaction = root.begin('transaction', 'shop')
    nowMs += 20
    transaction.count = 20
    nowMs += 2
    lasting(transaction, 'statement', 5)
    nowMs += 3
    lasting(transaction, 'commit', 7)
    transaction.end()
  }), { own: 6, pool: 20, statement: 5, commit: 7 })
})

test('statements at the same time count once', () => {
  assert.deepEqual(request(root => {
    const [first, second] = [root.begin('statement', 'shop'), root.begin('statement', 'shop')]
    nowMs += 4
    first.end()
    nowMs += 6
    second.end()
    nowMs += 1
  }), { own: 1, statement: 10 })
})

test('what waits for the read of another waits; what reads itself does not, but its statements do', () => {
  assert.deepEqual(request(root => { lasting(root, 'cache', 9).cache = 'wait' }), { cache: 9 })
  assert.deepEqual(request(root => {
    const span = root.begin('cache', 'shop')
    span.cache = 'miss'
    lasting(span.begin('call', 'shop'), 'statement', 5)
    nowMs += 2
    span.end()
  }), { own: 2, statement: 5 })
})

test('what never ended, or never got its connection, ends with its request', () => {
  assert.deepEqual(request(root => {
    root.begin('transaction', 'shop').begin('statement', 'shop')
    nowMs += 8
  }), { pool: 8 })
})
