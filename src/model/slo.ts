/** Service level objectives of an intent: how much of what is asked of it must end well, and how much of that in time. */
import { histogramBounds } from '../base/histogram.ts'

export interface Slo {
  /** Share of the requests that must not fail or be shed; what is refused with 4xx does not count. Default 0.999. */
  readonly availability?: number
  /** This share of the answers takes at most so long. Default: no objective. */
  readonly latency?: { readonly quantile: number; readonly withinMs: number }
  /** Days over which the budget of errors is counted. Default 30. */
  readonly windowDays?: number
}

export type Objectives = Slo & Required<Pick<Slo, 'availability' | 'windowDays'>>

export const sloDefaults = { availability: 0.999, windowDays: 30 } as const

/** Below, all may fail without burning 14.4 times what is allowed; above, no traffic tells the difference. */
const shareMin = 0.94
const shareMax = 0.999_99
const windowDaysMin = 7
const windowDaysMax = 90

export const objectivesOf = (slo: Slo): Objectives => ({ ...sloDefaults, ...slo })

/** The bound of the histogram at which a latency is judged: the first that is not below, in seconds. */
export const boundOf = (withinMs: number): number | undefined => histogramBounds.find(bound => bound * 1_000 >= withinMs)

const isShare = (value: number) => value >= shareMin && value <= shareMax

/** What is wrong with objectives of an intent that may take `deadlineMs`; empty when nothing is. */
export function sloFaults(slo: Slo, deadlineMs: number): string[] {
  const { availability, latency, windowDays } = objectivesOf(slo)
  const faults: string[] = []
  if (!isShare(availability)) faults.push(`its slo has availability ${availability}; write a share from ${shareMin} to ${shareMax}, like 0.999`)
  if (!Number.isInteger(windowDays) || windowDays < windowDaysMin || windowDays > windowDaysMax) faults.push(`its slo has windowDays ${windowDays}; write whole days from ${windowDaysMin} to ${windowDaysMax}`)
  if (!latency) return faults
  const { quantile, withinMs } = latency
  if (!isShare(quantile)) faults.push(`its slo has a latency with quantile ${quantile}; write a share from ${shareMin} to ${shareMax}, like 0.99`)
  if (!(withinMs > 0)) faults.push(`its slo has withinMs ${withinMs}; write milliseconds, more than 0`)
  else if (withinMs >= deadlineMs) faults.push(`its slo has withinMs ${withinMs}, and its deadline is ${deadlineMs} ms: what takes longer has failed and is no answer; write less, or a longer deadlineMs`)
  else if (boundOf(withinMs) === undefined) faults.push(`its slo has withinMs ${withinMs}, and durations are told apart up to ${histogramBounds.at(-1)! * 1_000} ms only; write less`)
  return faults
}
