/**
 * The headline: the RealWorld suite on every topology with the same source, on an empty and
 * on a populated database; on topology 1 with every call between services serialised and
 * repeated; and on several processes.
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
import { publicSuiteIsThere, runPublicSuite } from '../realworld/public-suite.ts'
import { runCases } from '../realworld/own-cases.ts'

const requests = 154
const topologies = [
  ...readdirSync(path.join(path.dirname(conduitFile), 'topologies')).map(file => file.replace(/\.ts$/, '')).sort(),
  ...['serialising.ts', 'two-processes.ts'].map(file => path.join(import.meta.dirname, file)),
]

const assertNoErrors = (deployment: TestDeployment) => assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)

/** What 2-tuned is, less its caches: the public suite has nothing to find there that it does not find on the others. */
const ownCasesOnly = 'two-processes.ts'

async function runBoth(t: TestContext, topology: string, state: string, url: string): Promise<void> {
  await t.test(`own cases, ${state}`, () => runCases(url))
  if (path.basename(topology) === ownCasesOnly) return
  await t.test(`public suite, ${state}`, { skip: publicSuiteIsThere ? false : '../shared/realworld is not here' }, async () => {
    const result = await runPublicSuite(url)
    assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, result.output.slice(-6_000))
  })
}

for (const topology of topologies) {
  test(`Conduit on ${path.basename(topology)}`, { skip: topology === '3-scaled-out' && (skipWithout('haproxy') || skipWithout('redis') || skipWithout('nats')) }, async t => {
    let deployment = await startDeployment({ topology })
    t.after(() => deployment.close())
    await runBoth(t, topology, 'empty', deployment.url)
    assertNoErrors(deployment)
    await deployment.close()
    deployment = await startDeployment({ topology, dataFolder: await copyOfSeededData() })
    await runBoth(t, topology, 'populated', deployment.url)
    assertNoErrors(deployment)
  })
}
