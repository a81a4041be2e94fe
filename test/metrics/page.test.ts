/** The page of a real deployment of Conduit on several processes: exact sums, valid for Prometheus's own checker, also while a process is away. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MetricFamily } from '../../src/admin/metrics.ts'
import { metricTable } from '../../src/base/metric-table.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import type { ProcessState } from '../../src/ports/orchestrator.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { Person } from '../realworld/own-cases.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { readPage } from '../support/metric-page.ts'
import type { MetricPage } from '../support/metric-page.ts'

const withoutChecker = skipWithout('prometheus')
const patienceMs = 60_000

async function pageWhen(deployment: TestDeployment, condition: (page: MetricPage) => boolean): Promise<MetricPage> {
  for (const endMs = monotonicMs() + patienceMs; ; await sleep(50)) {
    const page = await readPage(deployment.adminUrl)
    if (condition(page)) return page
    assert.ok(monotonicMs() < endMs, page.text)
  }
}

const familiesOf = async ({ adminUrl }: TestDeployment): Promise<MetricFamily[]> => await (await fetch(`${adminUrl}/metrics.json`)).json() as MetricFamily[]

async function assertValid(page: MetricPage): Promise<void> {
  if (!withoutChecker) assert.equal(await page.complaints(), '')
  const series = page.samples.map(({ name, labels }) => JSON.stringify([name, Object.entries(labels).sort()]))
  assert.equal(new Set(series).size, series.length, 'no series is told twice')
}

test('the metrics of a deployment', { skip: withoutChecker }, async t => {
  const deployment = await startDeployment({ topology: '2-tuned', env: { JWT_SECRET: 'x'.repeat(64) } })
  t.after(() => deployment.close())
  const get = async (path: string) => { const answer = await fetch(deployment.url + path); await answer.arrayBuffer(); return answer.status }
  const jane = new Person(deployment.url)
  const processes = (page: MetricPage) => page.processes().filter(name => name !== 'supervisor')

  await t.test('before anybody came all is zero, and told', async () => {
    const page = await readPage(deployment.adminUrl)
    await assertValid(page)
    assert.ok(processes(page).includes('web-0') && processes(page).includes('worker-0') && page.processes().includes('supervisor'))
    assert.ok(page.samples.some(one => one.name === 'tenfold_intent_requests_total' && one.labels.outcome === 'failed'), 'a series that is not there cannot be alerted on')
    assert.equal(page.total('tenfold_intent_requests_total'), 0)
    assert.equal(page.total('tenfold_process_ready'), processes(page).length)
    assert.equal(page.total('tenfold_engine_up', { engine: 'postgres' }), 1)
    assert.ok(page.total('tenfold_postgres_commits_total') > 0)
    assert.ok(page.samples.some(one => one.name === 'tenfold_bus_waiting' && one.labels.consumer === 'tenfold.jobs'))
  })

  await t.test('requests over all processes add up', async () => {
    await jane.register()
    for (let index = 0; index < 12; index++) assert.equal(await get('/api/tags'), 200)
    for (let index = 0; index < 5; index++) assert.equal(await get('/api/articles/there-is-none'), 404)
    for (let index = 0; index < 3; index++) assert.equal(await get('/api/user'), 401)
    // Which asks another service.
    assert.equal(await get(`/api/profiles/${jane.name}`), 200)
    const page = await pageWhen(deployment, one => one.total('http_server_request_duration_seconds_count') >= 22)
    await assertValid(page)
    const requests = (intent: string, outcome: string) => page.total('tenfold_intent_requests_total', { intent, outcome })
    assert.deepEqual([requests('articles.tags', 'ok'), requests('articles.one', 'refused'), requests('accounts.currentUser', 'refused')], [12, 5, 3])
    assert.equal(page.total('tenfold_intent_errors_total', { intent: 'articles.one', code: 'NOT_FOUND' }), 5)
    assert.equal(page.total('tenfold_intent_errors_total', { intent: 'accounts.currentUser', code: 'UNAUTHENTICATED' }), 3)
    assert.equal(page.total('tenfold_intent_duration_seconds_count', { intent: 'articles.tags' }), 12)
    assert.equal(page.total('tenfold_intent_duration_seconds_bucket', { intent: 'articles.tags', le: '+Inf' }), 12)
    const results = (result: string) => page.total('tenfold_intent_cache_requests_total', { intent: 'articles.tags', result })
    assert.equal(results('hit') + results('miss') + results('stale') + results('coalesced'), 12)
    assert.ok(results('miss') >= 1 && results('hit') >= 12 - processes(page).length)
    assert.equal(page.total('tenfold_intent_statements_total', { intent: 'articles.tags' }), results('miss'))
    const status = (code: string) => page.total('http_server_request_duration_seconds_count', { http_response_status_code: code })
    assert.deepEqual([status('200'), status('404'), status('401')], [13, 5, 3])
  })

  await t.test('what commands set off is told by the worker', async () => {
    const page = await pageWhen(deployment, one => one.total('tenfold_intent_messages_total', { process: 'worker-0' }) > 0)
    await assertValid(page)
    assert.equal(page.total('tenfold_intent_messages_total'), page.total('tenfold_intent_messages_total', { process: 'worker-0' }))
  })

  await t.test('OpenMetrics for who accepts it, JSON for programs, with the same numbers', async () => {
    const open = await fetch(`${deployment.adminUrl}/metrics`, { headers: { accept: 'application/openmetrics-text;version=1.0.0,text/plain;q=0.5' } })
    assert.match(open.headers.get('content-type')!, /^application\/openmetrics-text; version=1\.0\.0/)
    const text = await open.text()
    assert.match(text, /\n# EOF\n$/)
    assert.match(text, /^# TYPE tenfold_intent_requests counter$/m)
    assert.match(text, /^# UNIT process_cpu_seconds seconds$/m)
    assert.match((await fetch(`${deployment.adminUrl}/metrics`)).headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
    const families = await familiesOf(deployment)
    for (const { name, type, help } of families) assert.deepEqual([type, help], [metricTable[name].type, metricTable[name].help])
    const tags = families.find(one => one.name === 'tenfold_intent_duration_seconds')!.samples.filter(one => one.labels.intent === 'articles.tags')
    assert.equal(tags.reduce((sum, one) => sum + ('count' in one ? one.count : 0), 0), 12)
    for (const one of tags) {
      assert.ok('quantiles' in one)
      const { p50, p99, 'p99.9': p999 } = one.quantiles
      assert.ok(p50! > 0 && p50! <= p99! && p99! <= p999! && p999! <= one.max * 1.05, JSON.stringify(one))
    }
  })

  await t.test('every metric of the table is on the page, but for those of what there is not', async () => {
    const told = new Set((await familiesOf(deployment)).map(one => one.name))
    assert.deepEqual(Object.keys(metricTable).filter(name => !told.has(name as MetricFamily['name']) && !/^tenfold_(redis|cache_shared|broker|balancer|scaling)_/.test(name)), ['tenfold_database_readers_total', 'tenfold_postgres_replication_lag_bytes', 'tenfold_postgres_replication_lag_seconds'])
  })

  await t.test('while a process is away and when it is back the page is valid', async () => {
    const restarts = (page: MetricPage) => page.total('tenfold_process_restarts_total', { process: 'web-0' })
    const before = restarts(await readPage(deployment.adminUrl))
    const { processes } = await (await fetch(`${deployment.adminUrl}/status`)).json() as { processes: ProcessState[] }
    process.kill(processes.find(one => one.name === 'web' && one.replica === 0)!.pid!, 'SIGKILL')
    const away = await pageWhen(deployment, one => restarts(one) > before)
    await assertValid(away)
    const back = await pageWhen(deployment, one => one.total('tenfold_process_ready', { process: 'web-0' }) === 1 && one.processes().includes('web-0'))
    await assertValid(back)
    assert.equal(back.total('tenfold_intent_requests_total', { process: 'web-0' }), 0, 'it counts from its start')
  })
})

test('switched off, only the supervisor and the engines tell', async t => {
  const deployment = await startDeployment({ env: { TENFOLD_METRICS: 'off' } })
  t.after(() => deployment.close())
  await (await fetch(`${deployment.url}/api/tags`)).arrayBuffer()
  const page = await readPage(deployment.adminUrl)
  assert.equal(page.samples.filter(({ name }) => /^(tenfold_intent|http|process|nodejs)_/.test(name)).length, 0)
  assert.equal(page.total('tenfold_process_ready'), 1)
})
