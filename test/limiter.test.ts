/** The limiter: grows while it is used and calls are quick, shrinks when they queue up, refuses the lowest class first. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { installClock, systemClock } from '../src/base/time.ts'
import { Limiter } from '../src/runtime/limiter.ts'

function rounds(limiter: Limiter, count: number, inFlight: number, latencyMs: number, advance: (ms: number) => void): void {
  for (let round = 0; round < count; round++) {
    const tickets = Array.from({ length: inFlight }, () => limiter.enter('critical')).filter(ticket => ticket !== null)
    advance(latencyMs)
    for (const ticket of tickets) limiter.leave(ticket)
  }
}

test('the limit follows latency', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const advance = (ms: number) => { atMs += ms }
  const limiter = new Limiter()
  rounds(limiter, 200, 60, 20, advance)
  const quick = limiter.state.limit
  assert.ok(quick >= 64, `quick calls keep their places: ${quick}`)
  rounds(limiter, 200, 512, 1_000, advance)
  assert.ok(limiter.state.limit < quick / 2, `calls that queue up lose them: ${limiter.state.limit} of ${quick}`)
  assert.equal(limiter.state.inFlight, 0)
})

test('low goes first, critical last, and off means off', () => {
  const admitted = (limiter: Limiter, priority: 'low' | 'normal' | 'critical') => {
    let count = 0
    while (count < 1_000 && limiter.enter(priority)) count++
    return count
  }
  const [low, normal, critical] = (['low', 'normal', 'critical'] as const).map(priority => admitted(new Limiter(), priority))
  assert.ok(low! < normal! && normal! < critical!)
  assert.equal(admitted(new Limiter({ enabled: false }), 'low'), 1_000)
})
