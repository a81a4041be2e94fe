/**
 * The scaling policy against the Kubernetes HorizontalPodAutoscaler, on one plant, with the same
 * boot time, each with one knob that was tuned on the first half of a trace: fewer node-hours for no
 * more violation minutes on the second half, or fewer violation minutes for no more node-hours.
 * The recorded traces take longer: npm run soak.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScalingPolicy } from '../../src/scaling/policy.ts'
import { horizontalPodAutoscaler, stepMs, tenfold, tune } from './plant.ts'
import type { MakeScaler } from './plant.ts'
import { dayAndNight, loadBalancer, tracesAreThere, worldCup } from './trace.ts'

/** What was tuned on one half does a little worse on the other. */
const caution = 0.9

function compare(load: Float64Array, bootMs: number, make: MakeScaler = tenfold) {
  const theirs = tune(load, horizontalPodAutoscaler, bootMs)
  const ours = tune(load, make, bootMs, theirs.tunedViolationMinutes * caution)
  const isBetter = ours.violationMinutes <= theirs.violationMinutes && ours.nodeHours <= theirs.nodeHours
    && (ours.violationMinutes < theirs.violationMinutes || ours.nodeHours < theirs.nodeHours)
  const told = ({ target, violationMinutes, nodeHours }: typeof ours) => `${violationMinutes} min and ${Math.round(nodeHours)} node-hours at ${target}`
  return { isBetter, text: `Tenfold ${told(ours)}, HPA ${told(theirs)}` }
}

const recorded = process.env.TENFOLD_SOAK !== undefined && tracesAreThere
const traces = { 'day and night': dayAndNight, ...recorded ? { 'World Cup 1998': worldCup, 'a load balancer': loadBalancer } : {} }

for (const [name, trace] of Object.entries(traces)) {
  for (const bootMs of [60_000, 180_000]) {
    test(`${name}, nodes that boot in ${bootMs / 1_000} s`, t => {
      const { isBetter, text } = compare(trace(), bootMs)
      t.diagnostic(text)
      assert.ok(isBetter, text)
    })
  }
}

test('negative control: who follows the load of a moment ago, without forecast and head-room, is not better', () => {
  const reactive: MakeScaler = target => ({ load }) => Math.ceil(load / target)
  assert.equal(compare(dayAndNight(), 180_000, reactive).isBetter, false)
})

const options = { min: 2, max: 10, target: 0.5, stepMs, bootMs: 60_000 }

test('bounds, and why', () => {
  const policy = new ScalingPolicy(options)
  assert.deepEqual([policy.decide(0).wanted, policy.decide(0).reason], [2, 'min'])
  const { wanted, reason } = policy.decide(100)
  assert.deepEqual([wanted, reason], [10, 'max'])
})

test('less is wanted only when less was enough for five minutes, so a load that swings moves nothing', () => {
  const policy = new ScalingPolicy(options)
  const wishes = Array.from({ length: 1_200 }, (_, step) => policy.decide(step % 8 < 4 ? 2 : 1).wanted).slice(400)
  const changes = wishes.filter((wanted, at) => at > 0 && wanted !== wishes[at - 1]).length
  assert.ok(changes <= 4, `${changes} changes while the load swung 100 times`)
})

test('who takes over with the state decides alike', () => {
  const first = new ScalingPolicy(options)
  const load = (step: number) => 2 + Math.sin(step / 50) + step % 3 * 0.1
  for (let step = 0; step < 1_000; step++) first.decide(load(step))
  const next = new ScalingPolicy(options, JSON.parse(JSON.stringify(first.state())))
  const fresh = new ScalingPolicy(options)
  const [a, b, c] = [first, next, fresh].map(policy => Array.from({ length: 40 }, (_, step) => policy.decide(load(1_000 + step)).forecast).slice(20))
  const distance = (one: number[], other: number[]) => Math.max(...one.map((value, at) => Math.abs(value / other[at]! - 1)))
  assert.ok(distance(a!, b!) < 0.15, `${distance(a!, b!)}`)
  assert.ok(distance(a!, b!) <= distance(a!, c!))
})
