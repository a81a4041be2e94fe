/** What `tenfold alerts` writes: valid to the programs that read it, and of no metric, label, record or command that there is not. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { parse } from 'yaml'
import { z } from 'zod'
import { app } from '../../examples/conduit/app.ts'
import { metricTable } from '../../src/base/metric-table.ts'
import type { MetricEntry } from '../../src/base/metric-table.ts'
import { commands, main } from '../../src/cli/main.ts'
import { application, checkApplication, manifestOf, service } from '../../src/index.ts'
import { alertFiles, alerts, roundedBounds } from '../../src/insight/alerts/alert-files.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { dashboardExpressions } from '../support/dashboard-series.ts'
import { run } from '../support/promtool.ts'

const root = path.resolve(import.meta.dirname, '../..')
const options = { job: 'conduit', target: '127.0.0.1:4000', runbooks: 'runbooks', page: 'http://127.0.0.1:9/page' }
const files = alertFiles(manifestOf(app), options)
interface Rule { record?: string; alert?: string; expr: string }
const rules = (parse(files.get('rules.yml')!) as { groups: { rules: Rule[] }[] }).groups.flatMap(one => one.rules)
const dashboardExprs = dashboardExpressions()
const runbookExprs = [...files].filter(([name]) => name.startsWith('runbooks/'))
  .flatMap(([, text]) => [...text.matchAll(/```promql\n([\s\S]*?)```/g)].map(match => match[1]!))

/** What of an expression is in no table: a series, or a label that it is selected or added by. */
function unknownIn(expr: string): string[] {
  const records = new Set(rules.map(one => one.record))
  const bare = expr.replace(/"(?:[^"\\]|\\.)*"/g, '""')
  const selected = [...bare.matchAll(/([a-z_][\w:]*)\{([^}]*)\}/g)].flatMap(([, name, inside]) => {
    const labels = [...inside!.matchAll(/(\w+)\s*(?:=~|!=|=)/g)].map(match => match[1]!)
    const family = name!.replace(/_(bucket|count|sum)$/, '')
    const entry = (metricTable as Record<string, MetricEntry>)[name!] ?? (metricTable as Record<string, MetricEntry>)[family]
    if (name === 'up' || records.has(name)) return labels.filter(label => !['job', 'intent', 'sli'].includes(label))
    if (!entry || (entry.type === 'histogram') !== (name !== family)) return [name!]
    const known = ['job', ...entry.labels, ...entry.of === 'intent' || entry.of === 'process' ? ['process'] : [], ...name!.endsWith('_bucket') ? ['le'] : []]
    return labels.filter(label => !known.includes(label)).map(label => `${name}{${label}}`)
  })
  const everyLabel = new Set(['job', 'process', 'le', 'sli', ...Object.values(metricTable).flatMap(one => [...one.labels])])
  const grouped = [...bare.matchAll(/by \(([^)]*)\)/g)].flatMap(match => match[1]!.split(',').map(one => one.trim())).filter(label => !everyLabel.has(label))
  const loose = [...bare.replace(/by \([^)]*\)|[a-z_][\w:]*\{[^}]*\}/g, '').matchAll(/\b(?:tenfold|nodejs|v8js|process|http|db)_\w+/g)].map(match => match[0])
  return [...selected, ...grouped, ...loose]
}

test('every series and label of rules, dashboards and runbooks is in the table of metrics', () => {
  assert.ok(rules.length > 40 && dashboardExprs.length > 50 && runbookExprs.length > alerts.length)
  for (const expr of [...rules.map(one => one.expr), ...dashboardExprs, ...runbookExprs]) assert.deepEqual(unknownIn(expr), [], expr)
  for (const [expr, unknown] of [['rate(tenfold_intent_request_total{job="a"}[5m])', 'tenfold_intent_request_total'], ['tenfold_bus_waiting{job="a", intent="b"}', 'tenfold_bus_waiting{intent}'], ['sum by (route) (up{job="a"})', 'route'], ['tenfold:slo_none{job="a"}', 'tenfold:slo_none']]) {
    assert.deepEqual(unknownIn(expr!), [unknown], 'what is wrong is found')
  }
})

async function withFiles<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-alerts-'))
  try { return await work(folder) } finally { await rm(folder, { recursive: true, force: true }) }
}

test('tenfold alerts writes them; promtool takes rules and configuration, and every expression of dashboards and runbooks', { skip: skipWithout('prometheus') }, () => withFiles(async folder => {
  assert.equal(await main(['alerts', '--app', path.join(root, 'examples/conduit/app.ts'), '--out', folder, '--json']), 0)
  assert.deepEqual((await readdir(folder)).sort(), ['alertmanager.yml', 'dashboards', 'prometheus.yml', 'rules.yml', 'runbooks'])
  assert.deepEqual(await readFile(path.join(folder, 'rules.yml'), 'utf8'), files.get('rules.yml'))
  const config = await run('promtool', ['check', 'config', 'prometheus.yml'], folder)
  assert.equal(config.code, 0, config.text)
  const exprs = [...dashboardExprs.map(expr => expr.replaceAll('$__rate_interval', '5m')), ...runbookExprs.map(expr => expr.trim())]
  await writeFile(path.join(folder, 'exprs.yml'), JSON.stringify({ groups: [{ name: 'all', rules: exprs.map((expr, index) => ({ record: `expression:${index}`, expr })) }] }))
  const checked = await run('promtool', ['check', 'rules', 'exprs.yml'], folder)
  assert.equal(checked.code, 0, checked.text)
}))

test('amtool takes the route, and sends pages and tickets where they belong', { skip: skipWithout('alertmanager') }, () => withFiles(async folder => {
  const file = path.join(folder, 'alertmanager.yml')
  await writeFile(file, files.get('alertmanager.yml')!)
  const checked = await run('amtool', ['check-config', file])
  assert.equal(checked.code, 0, checked.text)
  for (const severity of ['page', 'ticket']) {
    assert.equal((await run('amtool', ['config', 'routes', 'test', `--config.file=${file}`, `severity=${severity}`, 'alertname=TenfoldDown'])).text.split('\n')[0], severity)
  }
}))

test('each alert has one name, a runbook that is committed, and a row in docs/alerts.md; commands in runbooks exist', async () => {
  const page = await readFile(path.join(root, 'docs/alerts.md'), 'utf8')
  assert.equal(new Set(alerts.map(one => one.name)).size, alerts.length)
  for (const { name, severity, for: wait = 'at once' } of alerts) assert.ok(page.includes(`| [${name}](runbooks/${name}.md) | ${severity} | ${wait} |`), name)
  assert.equal(page.match(/^\| \[/gm)?.length, alerts.length)
  assert.deepEqual((await readdir(path.join(root, 'docs/runbooks'))).sort(), alerts.map(one => `${one.name}.md`).sort())
  for (const [name, text] of files) {
    if (!name.startsWith('runbooks/')) continue
    for (const [, command] of text.matchAll(/(?:^ *|`)tenfold (\w[\w-]*)/gm)) assert.ok(commands.some(one => one.name === command), `${name}: tenfold ${command}`)
    for (const [other] of text.matchAll(/Tenfold[A-Z]\w+/g)) assert.ok(alerts.some(one => one.name === other), `${name}: ${other}`)
  }
})

test('objectives: standard values, faults with place and mend, a latency between two bounds', () => {
  const shop = service('shop')
  const any = { input: z.object({}), output: z.object({}), scatter: true, run: async () => ({}) } as const
  const of = (slo: object, deadlineMs?: number) => application('shop', { services: { shop: { shop, read: shop.query({ ...any, slo, ...deadlineMs ? { deadlineMs } : {} }) } } })
  const sloOf = (slo: object) => manifestOf(of(slo)).intents.find(one => one.slo)?.slo
  assert.deepEqual(sloOf({}), { availability: 0.999, windowDays: 30 })
  for (const [slo, message] of [
    [{ availability: 99.9 }, /files\.test\.ts:\d+: shop\.read: its slo has availability 99\.9; write a share/],
    [{ availability: 0.9 }, /from 0\.94/], [{ availability: 1 }, /to 0\.99999/], [{ windowDays: 1 }, /windowDays 1; write whole days/],
    [{ latency: { quantile: 0.5, withinMs: 100 } }, /quantile 0\.5/], [{ latency: { quantile: 0.99, withinMs: 0 } }, /withinMs 0/],
    [{ latency: { quantile: 0.99, withinMs: 5_000 } }, /its deadline is 5000 ms/],
  ] as const) assert.match(checkApplication(of(slo)).join('\n'), message)
  assert.match(checkApplication(of({ latency: { quantile: 0.99, withinMs: 64_000 } }, 90_000)).join('\n'), /up to 63000 ms only/)
  const between = manifestOf(of({ latency: { quantile: 0.99, withinMs: 300 } }))
  assert.deepEqual(roundedBounds(between), [{ intent: 'shop.read', withinMs: 300, boundMs: 315 }])
  assert.match(alertFiles(between, options).get('rules.yml')!, /# shop\.read: 300 ms is no bound of the histogram; judged at 315 ms\.[\s\S]*le="0\.315"/)
  assert.deepEqual(roundedBounds(manifestOf(app)), [], 'Conduit names bounds')
  assert.deepEqual(checkApplication(app), [])
})
