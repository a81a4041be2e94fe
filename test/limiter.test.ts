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

/** A server that does so many calls a second: who is admitted waits for those before. Half a minute of what arrives. */
function queueing(limiter: Limiter, { perSecond, offered }: { perSecond: number; offered: number }, advance: (ms: number) => void): number[] {
  const waiting: NonNullable<ReturnType<Limiter['enter']>>[] = []
  const limits: number[] = []
  const [stepMs, steps] = [10, 3_000]
  let [arrived, done] = [0, 0]
  for (let step = 1; step <= steps; step++) {
    advance(stepMs)
    for (; done < step * perSecond * stepMs / 1_000; done++) {
      const ticket = waiting.shift()
      if (ticket) limiter.leave(ticket)
    }
    for (; arrived < step * offered * stepMs / 1_000; arrived++) {
      const ticket = limiter.enter('normal')
      if (ticket) waiting.push(ticket)
    }
    limits.push(limiter.state.limit)
  }
  return limits
}

test('a queue that lasts does not become what is normal', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const advance = (ms: number) => { atMs += ms }
  for (const perSecond of [200, 800]) {
    const limits = queueing(new Limiter(), { perSecond, offered: 3 * perSecond }, advance)
    assert.ok(Math.max(...limits) <= perSecond / 2, `who is admitted waits half a second at most: ${Math.max(...limits)} places at ${perSecond}/s`)
  }
})

test('32 connections are let in, whatever each call takes', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const limiter = new Limiter()
  for (const latencyMs of [1, 100, 3_000, 800, 1, 3_000]) {
    for (let round = 0; round < 300; round++) {
      const tickets = Array.from({ length: 32 }, () => limiter.enter('normal')).filter(ticket => ticket !== null)
      atMs += latencyMs
      for (const ticket of tickets) limiter.leave(ticket)
    }
    assert.equal(limiter.state.refused, 0, `calls of ${latencyMs} ms`)
  }
})

test('calls that are slow by nature are no queue, once few of them have shown it', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const limiter = new Limiter()
  const advance = (ms: number) => { atMs += ms }
  rounds(limiter, 200, 15, 1_000, advance)
  rounds(limiter, 200, 200, 1_000, advance)
  assert.ok(limiter.state.limit >= 200, String(limiter.state.limit))
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
