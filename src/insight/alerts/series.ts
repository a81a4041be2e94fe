/** Selectors of series in PromQL, of one scrape job: a metric or a label that the table of metrics lacks does not compile. */
import type { HistogramName, MetricName, metricTable } from '../../base/metric-table.ts'

type Table = typeof metricTable
/** A histogram is told as three series. */
export type SeriesName = Exclude<MetricName, HistogramName> | `${HistogramName}_${'bucket' | 'count' | 'sum'}`
type FamilyOf<Name extends SeriesName> = Name extends MetricName ? Name : Name extends `${infer Family extends HistogramName}_${'bucket' | 'count' | 'sum'}` ? Family : never
type LabelOf<Name extends SeriesName> =
  | Table[FamilyOf<Name>]['labels'][number]
  | (Table[FamilyOf<Name>]['of'] extends 'intent' | 'process' ? 'process' : never)
  | (Name extends `${string}_bucket` ? 'le' : never)

/** A text that the label is, a pattern that it matches, or texts that it is not. */
export type Match = string | RegExp | { readonly notOneOf: readonly string[] }
export type Series = <Name extends SeriesName>(name: Name, matchers?: Partial<Record<LabelOf<Name>, Match>>) => string

/** What one scrape job tells. */
export const seriesOf = (job: string): Series => (name, matchers = {}) =>
  `${name}{${[['job', job] as const, ...Object.entries(matchers) as [string, Match][]].map(([label, match]) => label + matcherText(match)).join(', ')}}`

/** Series that the rules record; `:` keeps their names apart from those of the page. */
export const recordOf = (job: string) => (name: string, matchers: Readonly<Record<string, Match>> = {}): string =>
  `${name}{${Object.entries({ job, ...matchers }).map(([label, match]) => label + matcherText(match)).join(', ')}}`

function matcherText(match: Match): string {
  if (typeof match === 'string') return `=${JSON.stringify(match)}`
  return match instanceof RegExp ? `=~${JSON.stringify(match.source)}` : `!~${JSON.stringify(anyOf(match.notOneOf).source)}`
}

/** One of these texts, whatever characters they have. */
export const anyOf = (texts: readonly string[]): RegExp => new RegExp(texts.map(text => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('|'))

/** Text of Prometheus writes a bound of 1 as "1", OpenMetrics as "1.0". */
export const boundMatch = (seconds: number): Match => Number.isInteger(seconds) ? new RegExp(`${seconds}(\\.0)?`) : String(seconds)
