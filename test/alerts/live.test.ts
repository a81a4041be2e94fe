/**
 * The files of `tenfold alerts` in real servers: Prometheus scrapes a live Conduit with them, every rule
 * and every panel of the dashboards is answered, and when Conduit dies Alertmanager tells who is to be
 * paged. Changed are only intervals and waits, which would make this last minutes.
 *
 * Negative control: while Conduit lives nobody is told that it is gone.
 */
import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { app } from '../../examples/conduit/app.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { Daemon, findProgram } from '../../src/base/daemon.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { manifestOf } from '../../src/index.ts'
import { alertFiles } from '../../src/insight/alerts/alert-files.ts'
import { runCases } from '../realworld/own-cases.ts'
import { dashboardExpressions } from '../support/dashboard-series.ts'
import { startDeployment } from '../support/deployment.ts'
import { freePort } from '../support/free-port.ts'

interface Target { readonly health: string; readonly lastError: string }
interface Rule { readonly name: string; readonly health: string; readonly lastError?: string; readonly state?: string }
interface Page { readonly alerts: readonly { readonly status: string; readonly labels: Readonly<Record<string, string>>; readonly annotations: Readonly<Record<string, string>> }[] }

async function until<T>(what: string, look: () => Promise<T>, isRight: (found: T) => boolean): Promise<T> {
  for (const endMs = monotonicMs() + 60_000; ; await sleep(250)) {
    const found = await look()
    if (isRight(found)) return found
    assert.ok(monotonicMs() < endMs, `${what}: ${String(JSON.stringify(found)).slice(0, 2_000)}`)
  }
}

/** Who is told of pages: what it was told. */
async function pager(t: TestContext): Promise<{ readonly url: string; readonly pages: Page[] }> {
  const pages: Page[] = []
  const server = http.createServer(async (request, response) => {
    let text = ''
    for await (const part of request) text += part
    pages.push(JSON.parse(text) as Page)
    response.end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/page`, pages }
}

async function serve(t: TestContext, folder: string, program: string, argv: (port: number) => readonly string[], port: number): Promise<void> {
  await mkdir(path.join(folder, program))
  const isReady = () => fetch(`http://127.0.0.1:${port}/-/ready`).then(answer => answer.ok, () => false)
  const daemon = new Daemon({ title: program, program: findProgram(program, [program]), folder: path.join(folder, program), argv: () => argv(port), isReady, log: silentLogger })
  t.after(() => daemon.stop())
  await daemon.start()
}

async function serversOf(t: TestContext, target: string, page: string): Promise<(question: string) => Promise<any>> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-alerts-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const [port, alertmanagerPort] = [await freePort(), await freePort()]
  const sooner = (text: string) => text
    .replaceAll(/(scrape|evaluation)_interval: 15s/g, '$1_interval: 1s').replaceAll(/^( *)interval: \d+[smh]/gm, '$1interval: 1s').replaceAll(/\bfor: \d+[mh]/g, 'for: 3s').replaceAll('group_wait: 10s', 'group_wait: 1s').replaceAll('group_interval: 1m', 'group_interval: 2s')
    .replace('127.0.0.1:9093', `127.0.0.1:${alertmanagerPort}`)
  const files = alertFiles(manifestOf(app), { job: 'conduit', target, runbooks: 'https://runbooks.example', page })
  for (const name of ['prometheus.yml', 'rules.yml', 'alertmanager.yml']) await writeFile(path.join(folder, name), sooner(files.get(name)!))
  const at = (name: string) => path.join(folder, name)
  await serve(t, folder, 'prometheus-alertmanager', port => [`--config.file=${at('alertmanager.yml')}`, `--storage.path=${at('silences')}`, `--web.listen-address=127.0.0.1:${port}`, '--cluster.listen-address='], alertmanagerPort)
  await serve(t, folder, 'prometheus', port => [`--config.file=${at('prometheus.yml')}`, `--storage.tsdb.path=${at('series')}`, `--web.listen-address=127.0.0.1:${port}`], port)
  return async question => {
    const answer = await (await fetch(`http://127.0.0.1:${port}/api/v1/${question}`)).json() as { status: string; error?: string; data: unknown }
    assert.equal(answer.status, 'success', `${question}: ${answer.error}`)
    return answer.data
  }
}

test('Prometheus and Alertmanager with the files of Conduit', { skip: skipWithout('prometheus') || skipWithout('alertmanager'), timeout: 240_000 }, async t => {
  const { url: page, pages } = await pager(t)
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  const ask = await serversOf(t, new URL(deployment.adminUrl).host, page)
  const rulesNow = async () => (await ask('rules') as { groups: { rules: Rule[] }[] }).groups.flatMap(one => one.rules)

  await t.test('it is scraped, and every rule is evaluated', async () => {
    await until('the target is up', async () => (await ask('targets') as { activeTargets: Target[] }).activeTargets, targets => targets.length === 1 && targets[0]!.health === 'up')
    const rules = await until('all are evaluated', rulesNow, all => all.every(one => one.health !== 'unknown'))
    assert.ok(rules.length > 60)
    assert.deepEqual(rules.filter(one => one.health !== 'ok'), [])
    // Of what has happened only that counts which it has seen happen.
    for (let round = 0; round < 3; round++) { await runCases(deployment.url); await sleep(1_500) }
    await until('what is left of budgets is known', () => ask('query?query=tenfold:slo_budget_left:ratio'), ({ result }) => result.length > 0)
  })

  await t.test('every panel is answered, those of objectives and processes with something', async () => {
    for (const expression of dashboardExpressions()) {
      const { result } = await ask(`query?query=${encodeURIComponent(expression.replaceAll('$__rate_interval', '1m').replaceAll('$intent', '.*'))}`)
      if (/slo_|nodejs_|process_ready|http_server/.test(expression)) assert.ok(result.length > 0, expression)
    }
  })

  const down = () => pages.flatMap(one => one.alerts).find(one => one.labels.alertname === 'TenfoldDown')

  // Of slow answers somebody may be: a machine may be that busy.
  await t.test('negative control: while it lives nobody is told that it is gone', async () => {
    await sleep(5_000)
    assert.equal((await rulesNow()).find(one => one.name === 'TenfoldDown')?.state, 'inactive')
    assert.equal(down(), undefined)
  })

  await t.test('when it is gone who is on duty is told, with the page to read', async () => {
    await deployment.end()
    const told = await until('a page', async () => down(), found => found !== undefined)
    assert.deepEqual([told?.status, told?.labels.severity, told?.annotations.runbook_url], ['firing', 'page', 'https://runbooks.example/TenfoldDown.md'])
  })
})
