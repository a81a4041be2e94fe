/**
 * The headline: the RealWorld suite on every topology with the same source, on an empty and
 * on a populated database; and on two more, which are for tests: topology 1 with every call between
 * services serialised and repeated, and, in the soak, several processes. The suite is read in the form it is written
 * in; Bruno, the runner of its other form, takes longer than all else: in the soak, on populated databases.
 * There topology 3 begins empty as well, and the repeated calls populated.
 * After the traffic a scrape has every series that the dashboards show of such a topology.
 */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { dashboardSeries, lackingIn } from '../support/dashboard-series.ts'
import type { WantedSeries } from '../support/dashboard-series.ts'
import { conduitFile, startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { readPage } from '../support/metric-page.ts'
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

/** What the dashboards show of parts that a topology has not, by the beginnings of the names. */
const ofLater = ['tenfold_balancer_', 'tenfold_broker_', 'tenfold_database_readers_', 'tenfold_postgres_replication_', 'tenfold_redis_', 'tenfold_scaling_']
const lacks: Readonly<Record<string, readonly string[]>> = { '1-monolith': ['tenfold_cache_', ...ofLater], '2-tuned': ofLater, '3-scaled-out': [] }

/** All but those are there after some traffic; of what is named here nothing is, so that it stays exact. */
async function assertSeries({ adminUrl }: TestDeployment, without: readonly string[]): Promise<void> {
  const isWithout = ({ name }: WantedSeries) => without.some(beginning => name.startsWith(beginning))
  for (const endMs = monotonicMs() + 60_000; ; await sleep(500)) {
    const lacking = lackingIn(await readPage(adminUrl))
    if (lacking.every(isWithout)) return assert.deepEqual(lacking, dashboardSeries().filter(isWithout))
    assert.ok(monotonicMs() < endMs, `the dashboards show what nobody tells: ${JSON.stringify(lacking.filter(one => !isWithout(one)))}`)
  }
}

async function runOn(t: TestContext, topology: string, state: typeof states[number], withBruno: boolean): Promise<void> {
  const deployment = await startDeployment({ topology, ...state === 'populated' ? { dataFolder: await copyOfSeededData() } : {} })
  t.after(() => deployment.close())
  await runAll(t, state, deployment.url, withBruno)
  if (topology in lacks && state === 'empty') await t.test('every series of the dashboards', () => assertSeries(deployment, lacks[topology]!))
  assertNoErrors(deployment)
}

for (const topology of readdirSync(path.join(path.dirname(conduitFile), 'topologies')).map(file => file.replace(/\.ts$/, '')).sort()) {
  test(`Conduit on ${topology}`, { skip: topology === '3-scaled-out' && (skipWithout('haproxy') || skipWithout('redis') || skipWithout('nats')) }, async t => {
    // One after another: the first has ended when the second starts.
    for (const state of isSoak || topology !== '3-scaled-out' ? states : ['populated'] as const) await t.test(state, t => runOn(t, topology, state, isSoak && state === 'populated'))
  })
}

for (const file of isSoak ? ['serialising.ts', 'two-processes.ts'] : ['serialising.ts']) {
  test(`Conduit on ${file}`, async t => {
    for (const state of isSoak ? states : ['empty'] as const) await t.test(state, t => runOn(t, path.join(import.meta.dirname, file), state, false))
  })
}
