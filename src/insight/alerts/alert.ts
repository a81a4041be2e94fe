/** What an alert is: when it fires, whom it wakes, and what whoever is woken looks at first. */
import type { Series } from './series.ts'

/** A page wakes somebody; a ticket is for the next working day. */
export type Severity = 'page' | 'ticket'

export interface Look {
  /** What the query or command tells. */
  readonly tells: string
  /** PromQL, of the scrape job; or a command. */
  readonly query?: (series: Series) => string
  readonly command?: string
}

export interface Alert {
  readonly name: string
  readonly severity: Severity
  /** PromQL that has a result while something is wrong. */
  expr(series: Series, job: string): string
  /** How long before it counts. */
  readonly for?: string
  /** One line, for who reads it on a telephone; Prometheus fills in the labels. */
  readonly summary: string
  readonly means: string
  readonly look: readonly Look[]
  readonly mend: readonly string[]
}
