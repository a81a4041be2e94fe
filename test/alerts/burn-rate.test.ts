/** Error ratios of 14.4, 6, 1 and 0.5 times the budget fire and stay silent as the table says, in Prometheus's own engine; and so does each window. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { application, manifestOf, service } from '../../src/index.ts'
import { ruleGroups } from '../../src/insight/alerts/alert-files.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { complaintsOf, counter } from '../support/promtool.ts'
import type { Firing, GivenSeries, RuleTest } from '../support/promtool.ts'

const skip = skipWithout('prometheus')
/** Days of samples, and the further controls, take promtool a minute. */
const skipLong = skip || (process.env.TENFOLD_SOAK ? false : 'the longer form: npm run soak')

const shop = service('shop')
const any = { input: z.object({}), output: z.object({}), scatter: true, run: async () => ({}) } as const
const read = shop.query({ ...any, slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 900 } } })
const unwatched = shop.query(any)
const manifest = manifestOf(application('shop', { services: { shop: { shop, read, unwatched } } }))
const groups = ruleGroups(manifest, { job: 'shop', target: '127.0.0.1:4000', runbooks: 'runbooks' }).filter(one => /slo|burn/.test(one.name))

const perMinute = 60_000
/** A hair above, so that the last digit of a division does not decide. */
const above = 1.001
type Sli = 'availability' | 'latency'
type Phase = readonly [burn: number, minutes: number]

const up: GivenSeries = { series: 'up{job="shop", instance="a"}', values: '1x9000' }
const requests = (outcome: string, values: string, intent = 'shop.read'): GivenSeries => ({ series: `tenfold_intent_requests_total{job="shop", process="web-0", intent="${intent}", kind="query", outcome="${outcome}"}`, values })
const duration = (suffix: string, process: string, values: string, outcome = 'ok'): GivenSeries => {
  const [name, le] = suffix.split(' ')
  return { series: `tenfold_intent_duration_seconds_${name}{job="shop", process="${process}", intent="shop.read", kind="query", outcome="${outcome}"${le ? `, le="${le}"` : ''}}`, values }
}

/** So many times the budget of failures, half of them shed; among ten times as many that were refused, which must not count. */
function failing(phases: readonly Phase[]): GivenSeries[] {
  const errors = (part: number) => counter(...phases.map(([burn, minutes]) => [perMinute * 0.001 * burn * part, minutes] as const))
  return [
    up,
    requests('ok', counter(...phases.map(([burn, minutes]) => [perMinute * (1 - 0.001 * burn), minutes] as const))),
    requests('failed', errors(0.5)), requests('shed', errors(0.5)),
    requests('refused', counter(...phases.map(([, minutes]) => [perMinute * 10, minutes] as const))),
  ]
}

/** Late answers of two processes, one scraped as text and one as OpenMetrics; those of failures must not count. */
function late(phases: readonly Phase[]): GivenSeries[] {
  const all = (share: (burn: number) => number) => counter(...phases.map(([burn, minutes]) => [perMinute * share(burn), minutes] as const))
  const of = (process: string, bound: string) => [
    duration('count', process, all(() => 1)), duration('bucket +Inf', process, all(() => 1)),
    duration(`bucket ${bound}`, process, all(burn => 1 - 0.01 * burn)), duration('bucket 0.8', process, all(() => 0.5)),
  ]
  return [up, ...of('web-0', '1'), ...of('web-1', '1.0'), duration('count', 'web-0', all(() => 1), 'failed'), duration('bucket 1', 'web-0', all(() => 0), 'failed')]
}

const given: Readonly<Record<Sli, (phases: readonly Phase[]) => GivenSeries[]>> = { availability: failing, latency: late }

const firing = (sli: Sli, ...names: ('Fast' | 'Medium' | 'Slow')[]): Firing[] =>
  names.map(name => ({ alertname: `TenfoldErrorBudgetBurn${name}`, severity: name === 'Slow' ? 'ticket' : 'page', intent: 'shop.read', sli }))

/** The table. */
const table: readonly [burn: number, ...('Fast' | 'Medium' | 'Slow')[]][] = [
  [14.4 * above, 'Fast', 'Medium', 'Slow'],
  [14.25, 'Medium', 'Slow'],
  [6 * above, 'Medium', 'Slow'],
  [5.95, 'Slow'],
  [1 * above, 'Slow'],
  [0.99],
  [0.5],
  [0],
]

const steady = (sli: Sli): RuleTest[] => table.map(([burn, ...names]) => ({ name: `${sli} ${burn}`, given: given[sli]([[burn, 60]]), at: { '1h': firing(sli, ...names) } }))

/** After hours without a failure, so that windows have to fill: each is pinned from below and above. The slow alert has only these hours to go by. */
const windows: readonly RuleTest[] = [
  { name: '100 times for 12 minutes', given: failing([[0, 420], [100, 12], [0, 30]]), at: { '7h5m': [], '7h12m': firing('availability', 'Fast', 'Slow'), '7h20m': firing('availability', 'Slow') } },
  { name: '10 times for 4 hours', given: failing([[0, 420], [10, 240], [0, 60]]), at: { '10h20m': firing('availability', 'Slow'), '10h50m': firing('availability', 'Medium', 'Slow'), '11h8m': firing('availability', 'Medium', 'Slow'), '11h20m': firing('availability', 'Slow') } },
]
const slowWindows: RuleTest = { name: '2 times for 37 hours', given: failing([[0, 3 * 1_440], [2, 2_220], [0, 420]]), at: { '107h': [], '108h40m': firing('availability', 'Slow'), '111h': firing('availability', 'Slow'), '115h10m': [] } }

for (const sli of ['availability', 'latency'] as const) {
  test(`${sli}: the table`, { skip }, async () => assert.equal(await complaintsOf(groups, steady(sli)), ''))
}

test('each window fills, and is forgotten', { skip }, async () => assert.equal(await complaintsOf(groups, windows), ''))

test('the window of three days', { skip: skipLong }, async () => assert.equal(await complaintsOf(groups, [slowWindows]), ''))

test('silent: no traffic, only refused requests, intents without an objective', { skip }, async () => {
  const quiet = ['ok', 'failed', 'shed'].map(outcome => requests(outcome, '0x60'))
  assert.equal(await complaintsOf(groups, [
    { name: 'no traffic', given: [up, ...quiet], at: { '1h': [] } },
    { name: 'refused', given: [up, ...quiet, requests('refused', counter([1_000, 60]))], at: { '1h': [] } },
    { name: 'unwatched', given: [up, requests('ok', counter([1, 60]), 'shop.unwatched'), requests('failed', counter([1_000, 60]), 'shop.unwatched')], at: { '1h': [] } },
  ]), '')
})

test('who is woken reads which intent, how much and where to go on; what is left of the budget is recorded', { skip }, async () => {
  const text = await complaintsOf(groups, [{ name: 'text', given: failing([[30, 60]]), at: {} }], {
    promql_expr_test: [{ expr: 'round(tenfold:slo_budget_left:ratio, 0.001)', eval_time: '1h', exp_samples: [{ labels: '{job="shop", intent="shop.read", sli="availability"}', value: -29 }] }],
    alert_rule_test: [{ alertname: 'TenfoldErrorBudgetBurnFast', eval_time: '1h', exp_alerts: [{
      exp_labels: { severity: 'page', job: 'shop', intent: 'shop.read', sli: 'availability' },
      exp_annotations: {
        summary: 'shop.read uses up its budget of availability more than 14.4 times as fast as it may: 3% went wrong in 1h, and it goes on (5m).',
        description: groups.flatMap(one => one.rules).flatMap(one => 'alert' in one && one.alert === 'TenfoldErrorBudgetBurnFast' ? [one.annotations.description] : [])[0],
        runbook_url: 'runbooks/TenfoldErrorBudgetBurnFast.md',
      },
    }] }],
  })
  assert.equal(text, '')
})

/** Negative control: the same tests find rules that are wrong. */
const spoiled = (replace: (text: string) => string) => JSON.parse(replace(JSON.stringify(groups))) as object[]
const controls: Readonly<Record<string, (text: string) => string>> = {
  'a factor ten times too large': text => text.replaceAll('14.4 * tenfold', '144 * tenfold'),
  'a factor ten times too small': text => text.replaceAll('14.4 * tenfold', '1.44 * tenfold'),
  'the slow factor ten times too large': text => text.replaceAll('> 1 * tenfold', '> 10 * tenfold'),
  'long windows of two alerts swapped': text => text.replaceAll(/ratio_rate(1h|6h)(?=\{[^}]*\} > (14.4|6) )/g, (_, window: string) => `ratio_rate${window === '1h' ? '6h' : '1h'}`),
  'short windows of two alerts swapped': text => text.replaceAll(/ratio_rate(5m|30m)(?=\{[^}]*\} > )/g, (_, window: string) => `ratio_rate${window === '5m' ? '30m' : '5m'}`),
  'no short window': text => text.replaceAll(/\\nand\\n\([^)]*ratio_rate5m[^)]*\)/g, ''),
  'refused requests counted': text => text.replaceAll('ok|failed|shed', 'ok|refused|failed|shed'),
}
for (const [position, [what, replace]] of Object.entries(controls).entries()) {
  test(`found: ${what}`, { skip: position === 0 ? skip : skipLong }, async () => {
    const wrong = spoiled(replace)
    assert.notDeepEqual(wrong, JSON.parse(JSON.stringify(groups)), 'the control changes nothing')
    assert.match(await complaintsOf(wrong, [...steady('availability'), ...windows]), /FAILED/)
  })
}
