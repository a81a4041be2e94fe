/** Bounds of processes that are scaled: what is refused, with the mend, and what a plan makes of them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { app } from '../../examples/conduit/app.ts'
import { checkTopology, planOf } from '../../src/topology/plan.ts'
import type { Topology } from '../../src/topology/topology.ts'
import scaled from './scaled.ts'

const withReplicas = (replicas: unknown): Topology => ({ ...scaled, processes: { ...scaled.processes, web: { ...scaled.processes.web, replicas: replicas as number } } })

test('bounds that are none are refused', () => {
  assert.deepEqual(checkTopology(app, scaled), [])
  for (const replicas of [{ min: 3, max: 1 }, { min: 0, max: 2 }, { min: 1.5, max: 2 }, { min: 1 }, {}]) assert.match(checkTopology(app, withReplicas(replicas)).join(), /processes\.web\.replicas goes from .*min no larger than max/, JSON.stringify(replicas))
  for (const target of [0, -1, 1.1, Number.NaN]) assert.match(checkTopology(app, withReplicas({ min: 1, max: 2, target })).join(), /replicas\.target is .*above 0 and at most 1/)
  for (const replicas of [0, 1.5, -1]) assert.match(checkTopology(app, withReplicas(replicas)).join(), /write a whole number of at least 1/)
})

test('a plan starts with the least and shares for the most', () => {
  const { processes, processCount } = planOf(app, 'scaled', scaled, 2)
  assert.deepEqual(processes.map(({ name, replicas, scale }) => [name, replicas, scale]), [['web', 1, { target: 0.6, min: 1, max: 3 }], ['worker', 1, null]])
  assert.equal(processCount, 4)
})
