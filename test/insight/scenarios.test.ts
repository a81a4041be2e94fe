/**
 * The advisor on bottlenecks that are planted: it names the right resource in all of them, not
 * the decoy, and the step brings what it said in nearly all. `npm test` runs three, without
 * taking their steps; `npm run soak` all.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { attribute } from '../../src/insight/binding/attribution.ts'
import { diagnose } from '../../src/insight/binding/diagnosis.ts'
import { netMs } from '../../src/insight/binding/gain.ts'
import { PlantedDeployment } from './planted-deployment.ts'
import type { Looked } from './planted-deployment.ts'
import { scenarios } from './scenarios.ts'
import type { Scenario } from './scenarios.ts'

const isLong = process.env.TENFOLD_SOAK === '1'
const only = process.env.SCENARIOS?.split(',')
const inShort = ['none', 'CPU-heavy handler', 'hot key']
const chosen = scenarios.filter(one => only ? only.includes(one.name) : isLong || inShort.includes(one.name))
const seconds = isLong ? 6 : 4
const insideMin = 9

const net = ({ evidence }: Looked) => netMs(evidence, attribute(evidence).parts)
const worded = ({ evidence, binding: { diagnosis, proposal } }: Looked) => JSON.stringify({ diagnosis, proposal, evidence }, null, 1)

/** Others may have taken the processors meanwhile: then that is the truth, where nothing of the deployment's own binds. */
function isRight(looked: Looked, { verdict, at }: Scenario): boolean {
  const { diagnosis } = looked.binding
  return diagnosis.verdict === verdict && (at === undefined || at.test(diagnosis.at)) || verdict === 'none' && diagnosis.verdict === 'machine'
}

test('the advisor names what binds, and says what a step brings', { timeout: 1_200_000 }, async t => {
  const place = await PlantedDeployment.open()
  t.after(() => place.close())
  let measured = 0
  let inside = 0
  for (const scenario of chosen) {
    const { name, topology, journey, users, after, step } = scenario
    const without = scenario.without ?? (name === 'slow fsync' ? skipWithout('strace') : null)
    await t.test(`${name} (decoy: ${scenario.decoy})`, { skip: without ? without : false }, async t => {
      await place.runOn(topology)
      const end = await scenario.plant?.(place)
      let before: Looked
      try { before = await place.look({ journey, users }, seconds) } finally { await end?.() }
      const { diagnosis, proposal } = before.binding
      t.diagnostic(`${diagnosis.summary}; ${proposal.kind}: ${proposal.text}`)
      assert.ok(isRight(before, scenario), worded(before))
      if (diagnosis.verdict === scenario.verdict) assert.ok([step].flat().includes(proposal.kind), worded(before))
      // Without what is known of waits, those who wait are blamed.
      if (scenario.blind) assert.equal(diagnose(before.evidence, { waits: false }).verdict, scenario.blind, worded(before))
      // What others take is theirs to give back.
      if (!isLong || diagnosis.verdict !== scenario.verdict) return
      const isElsewhere = proposal.kind === 'next-topology'
      if (isElsewhere) await place.runOn('2-tuned')
      else if (proposal.kind === 'more-connections') await place.runWith(proposal.command!)
      else if (after.topology) await place.runOn(after.topology)
      await after.take?.(place)
      const later = await place.look({ journey: isElsewhere ? journey : after.journey ?? journey, users, generators: after.generators }, seconds)
      const gain = net(before) / net(later)
      const isInside = gain >= proposal.gain[0] && gain <= proposal.gain[1]
      measured++
      if (isInside) inside++
      t.diagnostic(`predicted ${proposal.gain.map(one => one.toFixed(2)).join(' to ')}, measured ${gain.toFixed(2)}: ${isInside ? 'inside' : 'OUTSIDE'}; ${net(before).toFixed(1)} ms before, ${net(later).toFixed(1)} ms after, where ${later.binding.diagnosis.summary}`)
    })
  }
  await t.test('predicted gains are right in most of them', { skip: !isLong || only !== undefined }, () => {
    assert.ok(measured >= insideMin && inside >= Math.ceil(insideMin / 12 * measured), `${inside} of ${measured}`)
  })
})
