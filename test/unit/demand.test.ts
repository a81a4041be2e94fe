/** The load that is offered, from what processes have counted. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DemandMeter } from '../../src/boot/demand.ts'

interface Told { readonly startedAt?: number; readonly cpuSeconds: number; readonly ran: number; readonly shed?: number }

const answer = (replica: number, { startedAt = 1, cpuSeconds, ran, shed = 0 }: Told) => ({ name: 'web', replica, answer: [
  { name: 'process_start_time_seconds', samples: [{ labels: {}, value: startedAt }] },
  { name: 'process_cpu_seconds_total', samples: [{ labels: { mode: 'user' }, value: cpuSeconds / 2 }, { labels: { mode: 'system' }, value: cpuSeconds / 2 }] },
  { name: 'tenfold_intent_requests_total', samples: [{ labels: { outcome: 'ok' }, value: ran }, { labels: { outcome: 'shed' }, value: shed }] },
] })

/** Cores offered within ten seconds. */
function offered(before: readonly Told[], after: readonly Told[], waiting = 0): number {
  const meter = new DemandMeter()
  const read = (all: readonly Told[], atMs: number) => meter.read(all.map((told, replica) => answer(replica, told)), atMs, () => waiting)
  assert.equal(read(before, 0), null, 'one reading tells nothing')
  return Math.round(read(after, 10_000)!.get('web')! * 1_000) / 1_000
}

test('what was used, by all together', () => {
  assert.equal(offered([{ cpuSeconds: 100, ran: 0 }, { cpuSeconds: 50, ran: 0 }], [{ cpuSeconds: 103, ran: 10 }, { cpuSeconds: 54, ran: 10 }]), 0.7)
})

test('who was turned away counts as if served, and who waits is to be served within half a minute', () => {
  assert.equal(offered([{ cpuSeconds: 0, ran: 0 }], [{ cpuSeconds: 5, ran: 100, shed: 100 }]), 1)
  assert.equal(offered([{ cpuSeconds: 0, ran: 0 }], [{ cpuSeconds: 5, ran: 100 }], 600), 1.5)
})

test('what a start takes is no load, what a new process has served is', () => {
  const [before, after] = [{ cpuSeconds: 10, ran: 0 }, { cpuSeconds: 12, ran: 100 }]
  assert.equal(offered([before], [after, { startedAt: 2, cpuSeconds: 3, ran: 0 }]), 0.2, 'one more')
  assert.equal(offered([before], [after, { startedAt: 2, cpuSeconds: 3, ran: 50 }]), 0.3, 'one more, which has served')
  assert.equal(offered([before, before], [after, { startedAt: 2, cpuSeconds: 3, ran: 50 }]), 0.3, 'one that was started anew')
  const meter = new DemandMeter()
  const loads = [before, after, { startedAt: 2, cpuSeconds: 3, ran: 50 }].map((told, step) => meter.read([answer(0, told)], step * 10_000, () => 0)?.get('web'))
  assert.deepEqual(loads, [undefined, 0.2, 0.1], 'all were started anew: what a request took before')
})
