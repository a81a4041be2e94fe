/**
 * The metrics of one process. Whoever counts asks once for the child that has its labels and
 * keeps it, so that to count is an addition; what others count anyway is observed when it is
 * read. A reading is plain data, to be sent to the supervisor.
 */
import { Histogram } from './histogram.ts'
import type { HistogramState } from './histogram.ts'
import { metricTable } from './metric-table.ts'
import type { CounterName, GaugeName, HistogramName, MetricName } from './metric-table.ts'

export type Labels = Readonly<Record<string, string>>

export interface NumberSample { readonly labels: Labels; readonly value: number }
export interface HistogramSample extends HistogramState { readonly labels: Labels }
export interface MetricReading {
  readonly name: MetricName
  readonly samples: readonly (NumberSample | HistogramSample)[]
}

export class Counter {
  value = 0
  add(amount = 1): void { this.value += amount }
}

type Read = () => readonly NumberSample[]

export class MetricRegistry {
  readonly #counters = new Map<MetricName, Map<string, { readonly labels: Labels; readonly counter: Counter }>>()
  readonly #histograms = new Map<MetricName, Map<string, { readonly labels: Labels; readonly histogram: Histogram }>>()
  readonly #observed = new Map<MetricName, Set<Read>>()

  /** Label values in the order of the table. */
  counter(name: CounterName, ...values: readonly string[]): Counter {
    return childOf(this.#counters, name, values, labels => ({ labels, counter: new Counter() })).counter
  }

  histogram(name: HistogramName, ...values: readonly string[]): Histogram {
    return childOf(this.#histograms, name, values, labels => ({ labels, histogram: new Histogram() })).histogram
  }

  /** Asked at each reading. The returned function takes it away. */
  observe(name: CounterName | GaugeName, read: Read): () => void {
    const all = this.#observed.get(name) ?? new Set()
    this.#observed.set(name, all.add(read))
    return () => { all.delete(read) }
  }

  /** Like `observe`, for a metric without labels. */
  observeOne(name: CounterName | GaugeName, read: () => number): () => void {
    return this.observe(name, () => [{ labels: {}, value: read() }])
  }

  /** All of them unless told otherwise: to read one costs nothing of the others. */
  read(names = Object.keys(metricTable) as readonly MetricName[]): MetricReading[] {
    return names.flatMap((name): MetricReading[] => {
      const samples = [
        ...[...this.#counters.get(name)?.values() ?? []].map(({ labels, counter }) => ({ labels, value: counter.value })),
        ...[...this.#histograms.get(name)?.values() ?? []].map(({ labels, histogram }) => ({ labels, ...histogram.read() })),
        ...[...this.#observed.get(name) ?? []].flatMap(read => read()),
      ]
      return samples.length > 0 ? [{ name, samples }] : []
    })
  }
}

function childOf<Child>(families: Map<MetricName, Map<string, Child>>, name: MetricName, values: readonly string[], make: (labels: Labels) => Child): Child {
  let children = families.get(name)
  if (!children) families.set(name, children = new Map())
  const key = values.join('\n')
  let child = children.get(key)
  if (!child) children.set(key, child = make(labelsOf(name, values)))
  return child
}

function labelsOf(name: MetricName, values: readonly string[]): Labels {
  const names: readonly string[] = metricTable[name].labels
  if (names.length !== values.length) throw new Error(`${name} has the labels ${names.join(', ') || '(none)'}, not ${values.length} values`)
  return Object.fromEntries(names.map((label, index) => [label, values[index]!]))
}
