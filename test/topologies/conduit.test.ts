/**
 * The headline: the RealWorld suite on every topology with the same source, on an empty and
 * on a populated database; and on two more, which are for tests: topology 1 with every call between
 * services serialised and repeated, and, in the soak, several processes. The suite is read in the form it is written
 * in; Bruno, the runner of its other form, which takes longer than all else, runs on a populated
 * database of topology 1, in the soak of every topology. Topology 3 begins empty in the soak.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { conduitFile, startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { copyOfSeededData } from '../support/seeded-data.ts'
import { publicSuiteIsThere, runBruno, runPublicSuite } from '../realworld/public-suite.ts'
import { runCases } from '../realworld/own-cases.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const [requests, assertions] = [154, 538]
const states = ['empty', 'populated'] as const
const skip = publicSuiteIsThere ? false : '../shared/realworld is not here'

const assertNoErrors = (deployment: TestDeployment) => assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)

async function runAll(t: TestContext, state: string, url: string, withBruno: boolean): Promise<void> {
  await t.test(`own cases, ${state}`, () => runCases(url))
  await t.test(`public suite, ${state}`, { skip }, async () => assert.deepEqual(await runPublicSuite(url), { requests, assertions, failures: [] }))
  if (!withBruno) return
  await t.test(`public suite by its runner, ${state}`, { skip }, async () => {
    const result = await runBruno(url)
    assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, result.output.slice(-6_000))
  })
}

async function runOn(t: TestContext, topology: string, state: typeof states[number], withBruno: boolean): Promise<void> {
  const deployment = await startDeployment({ topology, ...state === 'populated' ? { dataFolder: await copyOfSeededData() } : {} })
  t.after(() => deployment.close())
  await runAll(t, state, deployment.url, withBruno)
  assertNoErrors(deployment)
}

for (const topology of readdirSync(path.join(path.dirname(conduitFile), 'topologies')).map(file => file.replace(/\.ts$/, '')).sort()) {
  test(`Conduit on ${topology}`, { skip: topology === '3-scaled-out' && (skipWithout('haproxy') || skipWithout('redis') || skipWithout('nats')) }, async t => {
    // One after another: the first has ended when the second starts.
    for (const state of isSoak || topology !== '3-scaled-out' ? states : ['populated'] as const) await t.test(state, t => runOn(t, topology, state, state === 'populated' && (isSoak || topology === '1-monolith')))
  })
}

for (const file of isSoak ? ['serialising.ts', 'two-processes.ts'] : ['serialising.ts']) {
  test(`Conduit on ${file}`, async t => {
    for (const state of states) await t.test(state, t => runOn(t, path.join(import.meta.dirname, file), state, false))
  })
}
