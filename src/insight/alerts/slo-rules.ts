/**
 * Recording rules from the objectives of an application: what was asked and what went wrong
 * per intent, as rates of five minutes; ratios over longer windows from those, so that three
 * days cost no more than one series per intent; the budgets; and what is left of them.
 */
import type { Manifest, ManifestIntent } from '../../model/manifest.ts'
import { boundOf } from '../../model/slo.ts'
import type { Objectives } from '../../model/slo.ts'
import { ratioRecord, windows } from './burn-rate.ts'
import { anyOf, boundMatch, recordOf, seriesOf } from './series.ts'

export interface RecordingRule { readonly record: string; readonly expr: string; readonly labels?: Readonly<Record<string, string>> }
export interface RuleGroup<Rule> { readonly name: string; readonly interval?: string; readonly rules: readonly Rule[] }

type Sli = 'availability' | 'latency'
type Objective = ManifestIntent & { readonly slo: Objectives }

export const objectivesIn = ({ intents }: Manifest): Objective[] => intents.filter((one): one is Objective => one.slo !== undefined)

/** Without the noise of a subtraction: 0.001, not 0.0010000000000000009. */
const budgetOf = (share: number) => Number((1 - share).toFixed(6))

export function sloRules(manifest: Manifest, job: string): RuleGroup<RecordingRule>[] {
  const intents = objectivesIn(manifest)
  if (intents.length === 0) return []
  return [
    { name: `tenfold-${job}-slo`, interval: '1m', rules: [...budgets(intents, job), ...availability(intents, job), ...latency(intents, job), ...ratios(job)] },
    { name: `tenfold-${job}-slo-budget`, interval: '2m', rules: budgetsLeft(intents, job) },
  ]
}

function budgets(intents: readonly Objective[], job: string): RecordingRule[] {
  const budget = (intent: string, sli: Sli, share: number): RecordingRule =>
    ({ record: 'tenfold:slo_budget:ratio', expr: `vector(${budgetOf(share)})`, labels: { job, intent, sli } })
  return intents.flatMap(({ name, slo }) => [
    budget(name, 'availability', slo.availability),
    ...slo.latency ? [budget(name, 'latency', slo.latency.quantile)] : [],
  ])
}

const rate = (series: string) => `sum by (job, intent) (rate(${series}[5m]))`

function fiveMinutes(sli: Sli, requests: string, errors: string): RecordingRule[] {
  return [
    { record: 'tenfold:slo_requests:rate5m', expr: requests, labels: { sli } },
    { record: 'tenfold:slo_errors:rate5m', expr: errors, labels: { sli } },
  ]
}

/** What is refused (4xx) is the caller's affair: neither asked nor gone wrong, or a crowd of it would hide failures. */
function availability(intents: readonly Objective[], job: string): RecordingRule[] {
  const requests = (outcome: RegExp) => rate(seriesOf(job)('tenfold_intent_requests_total', { intent: anyOf(intents.map(one => one.name)), outcome }))
  return fiveMinutes('availability', requests(/ok|failed|shed/), requests(/failed|shed/))
}

/** What was answered well, and what of it took longer, of the intents of each bound. */
function latency(intents: readonly Objective[], job: string): RecordingRule[] {
  const byBound = Map.groupBy(intents.filter(one => one.slo.latency), one => boundOf(one.slo.latency!.withinMs)!)
  const parts = [...byBound].sort(([one], [other]) => one - other).map(([bound, all]) => {
    const matchers = { intent: anyOf(all.map(one => one.name)), outcome: 'ok' }
    const asked = rate(seriesOf(job)('tenfold_intent_duration_seconds_count', matchers))
    const inTime = rate(seriesOf(job)('tenfold_intent_duration_seconds_bucket', { ...matchers, le: boundMatch(bound) }))
    return { asked, late: `${asked} - ${inTime}` }
  })
  if (parts.length === 0) return []
  return fiveMinutes('latency', parts.map(one => one.asked).join('\nor\n'), parts.map(one => one.late).join('\nor\n'))
}

function ratios(job: string): RecordingRule[] {
  const [errors, requests] = [recordOf(job)('tenfold:slo_errors:rate5m'), recordOf(job)('tenfold:slo_requests:rate5m')]
  return windows.map(window => ({
    record: ratioRecord(window),
    expr: window === '5m' ? `${errors} / ${requests}` : `sum_over_time(${errors}[${window}]) / sum_over_time(${requests}[${window}])`,
  }))
}

function budgetsLeft(intents: readonly Objective[], job: string): RecordingRule[] {
  return [...Map.groupBy(intents, one => one.slo.windowDays)].map(([days, all]) => {
    const record = (name: string) => recordOf(job)(name, { intent: anyOf(all.map(one => one.name)) })
    const over = (name: string) => `sum_over_time(${record(name)}[${days}d])`
    return { record: 'tenfold:slo_budget_left:ratio', expr: `1 - ${over('tenfold:slo_errors:rate5m')} / ${over('tenfold:slo_requests:rate5m')} / ${record('tenfold:slo_budget:ratio')}` }
  })
}
