/**
 * The load that is offered to a group of processes, in busy processor cores: the CPU time they
 * used, and what the requests that were turned away would have used, and what waits. From
 * counters of all of them, read again and again.
 */
import type { MetricReading, NumberSample } from '../base/metric-registry.ts'
import type { MetricName } from '../base/metric-table.ts'
import type { ProcessAnswer } from '../ports/orchestrator.ts'

/** What one process has counted since its start. */
interface Count {
  readonly startedAt: number
  readonly cpuSeconds: number
  /** Requests, deliveries and jobs that ran, and requests that did not. */
  readonly ran: number
  readonly shed: number
}

/** What a reading is made of: processes are asked for these alone, for a small one would be kept busy by telling all. */
export const demandMetrics = ['process_start_time_seconds', 'process_cpu_seconds_total', 'tenfold_intent_requests_total'] as const satisfies readonly MetricName[]

const nothing: Count = { startedAt: 0, cpuSeconds: 0, ran: 0, shed: 0 }
/** What waits in a queue is to be gone after this time. */
const backlogSeconds = 30

export class DemandMeter {
  #counts = new Map<string, Count>()
  #atMs: number | null = null

  /** Cores by the name of the process; null at the first reading. `backlog`: what waits for whoever works in the background. */
  read(answers: readonly ProcessAnswer[], atMs: number, backlog: (process: string) => number): ReadonlyMap<string, number> | null {
    const counts = new Map(answers.map(one => [`${one.name} ${one.replica}`, countOf(one.answer as readonly MetricReading[])]))
    const seconds = this.#atMs === null ? 0 : (atMs - this.#atMs) / 1_000
    const before = this.#counts
    const isFirst = this.#atMs === null
    this.#counts = counts
    this.#atMs = atMs
    if (isFirst || seconds <= 0) return null
    return new Map([...Map.groupBy(answers, one => one.name)].map(([name, group]) => {
      const spent = group.map(one => since(counts.get(`${one.name} ${one.replica}`)!, before.get(`${one.name} ${one.replica}`)))
      const [cpu, ran, shed] = [sum(spent, 'cpuSeconds'), sum(spent, 'ran'), sum(spent, 'shed')]
      const each = ran > 0 ? cpu / ran : 0
      return [name, (cpu + shed * each) / seconds + backlog(name) * each / backlogSeconds]
    }))
  }
}

/** A process that was started anew has counted from nothing. */
function since(now: Count, before: Count | undefined): Count {
  const from = before && before.startedAt === now.startedAt ? before : nothing
  return { startedAt: now.startedAt, cpuSeconds: now.cpuSeconds - from.cpuSeconds, ran: now.ran - from.ran, shed: now.shed - from.shed }
}

const sum = (counts: readonly Count[], of: 'cpuSeconds' | 'ran' | 'shed'): number => counts.reduce((total, one) => total + one[of], 0)

function countOf(readings: readonly MetricReading[]): Count {
  const total = (name: typeof demandMetrics[number], isCounted = (_: NumberSample) => true) => (readings.find(one => one.name === name)?.samples ?? [])
    .reduce((all, sample) => 'value' in sample && isCounted(sample) ? all + sample.value : all, 0)
  return {
    startedAt: total('process_start_time_seconds'), cpuSeconds: total('process_cpu_seconds_total'),
    ran: total('tenfold_intent_requests_total', sample => sample.labels.outcome !== 'shed'),
    shed: total('tenfold_intent_requests_total', sample => sample.labels.outcome === 'shed'),
  }
}
