/**
 * The burn rates that are alerted on: how many times faster than allowed the budget of
 * errors is used up. The long window says that it matters, the short one that it still goes
 * on. Factors and windows are those of the Google SRE workbook, chapter 5.
 */
import type { Alert, Look } from './alert.ts'
import { recordOf } from './series.ts'

export interface BurnRate { readonly factor: number; readonly long: string; readonly short: string }

export const burnRates = {
  fast: { factor: 14.4, long: '1h', short: '5m' },
  medium: { factor: 6, long: '6h', short: '30m' },
  slow: { factor: 1, long: '3d', short: '6h' },
} as const satisfies Readonly<Record<string, BurnRate>>

/** The windows over which error ratios are recorded. */
export const windows = ['5m', '30m', '1h', '6h', '3d'] as const

export const ratioRecord = (window: typeof windows[number]) => `tenfold:slo_errors:ratio_rate${window}`

function burns(job: string, { factor, long, short }: typeof burnRates[keyof typeof burnRates]): string {
  const record = recordOf(job)
  const over = (window: typeof long | typeof short) => `${record(ratioRecord(window))} > ${factor} * ${record('tenfold:slo_budget:ratio')}`
  return `(${over(long)})\nand\n(${over(short)})`
}

const look: readonly Look[] = [
  { tells: 'what fails, by code: docs/errors.md says what each means', query: series => `sum by (intent, code) (rate(${series('tenfold_intent_errors_total')}[5m])) > 0` },
  { tells: 'p99 of the intents, in seconds', query: series => `histogram_quantile(0.99, sum by (intent, le) (rate(${series('tenfold_intent_duration_seconds_bucket', { outcome: 'ok' })}[5m])))` },
  { tells: 'what the limiter sheds: all intents at once is overload', query: series => `sum by (intent) (rate(${series('tenfold_intent_shed_total')}[5m])) > 0` },
  { tells: 'is the database itself slow: seconds per statement of the handlers', query: series => `sum by (intent) (rate(${series('tenfold_intent_statement_seconds_total')}[5m])) / sum by (intent) (rate(${series('tenfold_intent_statements_total')}[5m]))` },
  { tells: 'the errors as they were logged', command: 'tenfold logs --level error --since 1h' },
]

const mend = [
  'It began with a change: put the version before it back, then `tenfold restart`, which fails no request.',
  'One code, one intent: its failed traces are in the console, page Intents, with statements and times.',
  'Everything is slow or shed: see what binds (event loop, connections, locks) on the dashboards overview and database; docs/overload.md.',
  'The database is slow: `tenfold advise` names statements, plans and missing indexes.',
] as const

function burnAlert(name: string, severity: Alert['severity'], rate: typeof burnRates[keyof typeof burnRates], means: string): Alert {
  const { factor, long, short } = rate
  return {
    name, severity, means, look, mend,
    expr: (_, job) => burns(job, rate),
    summary: `{{ $labels.intent }} uses up its budget of {{ $labels.sli }} ${factor === 1 ? 'as fast as it may, or faster' : `more than ${factor} times as fast as it may`}: {{ $value | humanizePercentage }} went wrong in ${long}, and it goes on (${short}).`,
  }
}

export const burnAlerts: readonly Alert[] = [
  burnAlert('TenfoldErrorBudgetBurnFast', 'page', burnRates.fast, 'In one hour an intent used at least 2 % of what it may fail, or answer late, in 30 days, and still does. At this rate the budget is gone in two days. The label `sli` says which: `availability` (failed and shed requests) or `latency` (answers that took longer than declared).'),
  burnAlert('TenfoldErrorBudgetBurnMedium', 'page', burnRates.medium, 'In six hours an intent used at least 5 % of what it may fail, or answer late, in 30 days, and still does. At this rate the budget is gone in five days.'),
  burnAlert('TenfoldErrorBudgetBurnSlow', 'ticket', burnRates.slow, 'Over three days an intent failed, or answered late, more often than its objective allows. Nobody need get up; if it stays so the objective is missed.'),
]
