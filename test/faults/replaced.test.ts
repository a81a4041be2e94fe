/**
 * Topology 3 as its clients see it: the public suite passes whole, again and again, while nodes
 * behind HAProxy are replaced and killed.
 *
 * Negative control: where every node is killed at once requests fail.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { kill, restart } from '../processes/deployed.ts'
import { runCases } from '../realworld/own-cases.ts'
import { publicSuiteIsThere, runBruno } from '../realworld/public-suite.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { scaledOutFile, skipScaledOut } from '../topologies/scaled-out.ts'
import { signalAll, Site } from './site.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const requests = 154
/** Of the whole suite. */
const rounds = isSoak ? 5 : 1

/** Replaces and kills nodes until it is told to end; how often. */
function replacing(deployment: TestDeployment): () => Promise<{ restarts: number; kills: number }> {
  const counts = { restarts: 0, kills: 0 }
  const stopping = new AbortController()
  const running = (async () => {
    while (!stopping.signal.aborted) {
      await restart(deployment)
      counts.restarts++
      for (const replica of [0, 1]) {
        if (stopping.signal.aborted) break
        await kill(deployment, 'web', replica)
        counts.kills++
        await sleep(500, stopping.signal)
      }
    }
  })()
  return async () => { stopping.abort(); await running; return counts }
}

/** Of the runner's report the requests that did not do what they should. */
const failedIn = (output: string): string => output.split(/\n(?=\S+\/\S+ \()/).filter(one => !/^\s+✓/m.test(one) || /^\s+✕/m.test(one)).join('\n').slice(0, 6_000)

async function suite(t: TestContext, url: string): Promise<void> {
  if (!publicSuiteIsThere) return runCases(url)
  const result = await runBruno(url)
  t.diagnostic(`${result.passed} of ${result.requests} requests, ${result.assertionsPassed} of ${result.assertions} assertions`)
  assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, failedIn(result.output))
}

test('topology 3 behind HAProxy', { skip: skipScaledOut, timeout: 1_200_000 }, async t => {
  const topology = await scaledOutFile()
  t.after(() => topology.remove())
  const deployment = await startDeployment({ topology: topology.file })
  t.after(() => deployment.close())
  const site = new Site(deployment)

  for (let round = 1; round <= rounds; round++) {
    await t.test(`the public suite passes while nodes are replaced, round ${round}`, { timeout: 300_000 }, async t => {
      const end = replacing(deployment)
      let counts = { restarts: 0, kills: 0 }
      try { await suite(t, deployment.url) } finally { counts = await end() }
      t.diagnostic(`${counts.restarts} rolling restarts, ${counts.kills} nodes killed meanwhile`)
      assert.ok(counts.restarts > 0)
    })
  }

  await t.test('negative control: where every node is killed at once, requests fail', async () => {
    const statuses: number[] = []
    for (let times = 0; times < 3; times++) {
      for (const replica of [0, 1]) signalAll(await site.pidsOf('web', replica), 'SIGKILL')
      statuses.push(...await Promise.all(Array.from({ length: 8 }, () => fetch(`${deployment.url}/api/tags`).then(answer => answer.status, () => 0))))
      await sleep(100)
    }
    assert.ok(statuses.some(status => status !== 200), 'the test cannot see what it is for')
  })
})
