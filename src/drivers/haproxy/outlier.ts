/**
 * Which nodes fail far more often than the others: outlier detection by success rate, as
 * Envoy has it, but against the median, which one bad node of three cannot move. Pure.
 */

export interface NodeWindow {
  readonly name: string
  /** In the window. */
  readonly requests: number
  readonly failures: number
  readonly isEjected: boolean
}

/** Fewer say nothing. */
const requestsMin = 20
/** What is no worse than this is left alone, however well the others do. */
const shareMin = 0.2
/** Above the median of the others. */
const shareAbove = 0.3
const ejectedShareMax = 1 / 3

/** The names to eject now, worst first. */
export function outliers(nodes: readonly NodeWindow[]): string[] {
  const room = Math.floor(nodes.length * ejectedShareMax) - nodes.filter(one => one.isEjected).length
  const measured = nodes.filter(one => !one.isEjected && one.requests >= requestsMin).map(one => ({ name: one.name, share: one.failures / one.requests }))
  return measured.filter(({ name, share }) => share >= shareMin && share >= medianOf(measured.filter(one => one.name !== name).map(one => one.share)) + shareAbove)
    .sort((a, b) => b.share - a.share).slice(0, Math.max(0, room)).map(one => one.name)
}

/** Of none: what nothing is above. */
function medianOf(values: readonly number[]): number {
  if (values.length === 0) return Infinity
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
