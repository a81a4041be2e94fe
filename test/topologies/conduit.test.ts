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

async function runBoth(t: TestContext, state: string, url: string): Promise<void> {
  await t.test(`own cases, ${state}`, () => runCases(url))
  await t.test(`public suite, ${state}`, { skip: publicSuiteIsThere ? false : '../shared/realworld is not here' }, async () => {
    const result = await runPublicSuite(url)
    assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, result.output.slice(-6_000))
  })
}

for (const topology of topologies) {
  test(`Conduit on ${path.basename(topology)}`, async t => {
    let deployment = await startDeployment({ topology })
    t.after(() => deployment.close())
    await runBoth(t, 'empty', deployment.url)
    assertNoErrors(deployment)
    await deployment.close()
    deployment = await startDeployment({ topology, dataFolder: await copyOfSeededData() })
    await runBoth(t, 'populated', deployment.url)
    assertNoErrors(deployment)
  })
}
