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
  /** What a request took, by the name of the process, when it was last known. */
  readonly #each = new Map<string, number>()

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
      // What a start takes is nobody's load: a process that is new is taken to have spent on each request what the others did.
      const known = spent.filter(one => !one.isNew)
      const [cpu, ran] = [sum(known, 'cpuSeconds'), sum(known, 'ran')]
      if (ran > 0) this.#each.set(name, cpu / ran)
      const each = this.#each.get(name) ?? 0
      const unseen = sum(spent, 'shed') + sum(spent.filter(one => one.isNew), 'ran')
      return [name, (cpu + unseen * each) / seconds + backlog(name) * each / backlogSeconds]
    }))
  }
}

interface Spent extends Count { readonly isNew: boolean }

/** A process that was started anew has counted from nothing. */
function since(now: Count, before: Count | undefined): Spent {
  const isNew = before?.startedAt !== now.startedAt
  const from = isNew ? nothing : before
  return { isNew, startedAt: now.startedAt, cpuSeconds: now.cpuSeconds - from.cpuSeconds, ran: now.ran - from.ran, shed: now.shed - from.shed }
}

const sum = (counts: readonly Spent[], of: 'cpuSeconds' | 'ran' | 'shed'): number => counts.reduce((total, one) => total + one[of], 0)

function countOf(readings: readonly MetricReading[]): Count {
  const total = (name: typeof demandMetrics[number], isCounted = (_: NumberSample) => true) => (readings.find(one => one.name === name)?.samples ?? [])
    .reduce((all, sample) => 'value' in sample && isCounted(sample) ? all + sample.value : all, 0)
  return {
    startedAt: total('process_start_time_seconds'), cpuSeconds: total('process_cpu_seconds_total'),
    ran: total('tenfold_intent_requests_total', sample => sample.labels.outcome !== 'shed'),
    shed: total('tenfold_intent_requests_total', sample => sample.labels.outcome === 'shed'),
  }
}
