/**
 * The metrics of a whole deployment: what each process, the supervisor and the engines tell,
 * put together by family. A sample of a process says which, in the label `process`.
 */
import { quantileOf } from '../base/histogram.ts'
import { metricTable, unitOf } from '../base/metric-table.ts'
import type { MetricName } from '../base/metric-table.ts'
import type { HistogramSample, Labels, MetricReading, NumberSample } from '../base/metric-registry.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { ProcessAnswer } from '../ports/orchestrator.ts'

export type Quantiles = Readonly<Record<'p50' | 'p90' | 'p99' | 'p99.9', number | null>>

export interface MetricFamily {
  readonly name: MetricName
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly unit: ReturnType<typeof unitOf>
  readonly help: string
  readonly samples: readonly (NumberSample | (HistogramSample & { readonly quantiles: Quantiles }))[]
}

export async function metricFamilies(deployment: Deployment): Promise<MetricFamily[]> {
  const { orchestrator, metrics, engineMetrics } = deployment
  const [answers, engines] = await Promise.all([orchestrator.ask('metrics'), engineMetrics.read()])
  const readings = [
    ...newest(answers).flatMap(one => labelled(one.answer as MetricReading[], `${one.name}-${one.replica}`)),
    ...labelled(metrics?.read() ?? [], 'supervisor'),
    ...statesOf(deployment),
    ...deployment.autoscaler?.metrics() ?? [],
    ...engines,
  ]
  const byName = Map.groupBy(readings, reading => reading.name)
  return (Object.keys(metricTable) as MetricName[]).flatMap(name => {
    const samples = (byName.get(name) ?? []).flatMap(reading => reading.samples)
    return samples.length > 0 ? [familyOf(name, samples)] : []
  })
}

export function familyOf(name: MetricName, samples: readonly (NumberSample | HistogramSample)[]): MetricFamily {
  const { type, help } = metricTable[name]
  return { name, type, unit: unitOf(name), help, samples: samples.map(sample => 'native' in sample ? { ...sample, quantiles: quantilesOf(sample) } : sample) }
}

function quantilesOf({ native }: HistogramSample): Quantiles {
  return { p50: quantileOf(native, 0.5), p90: quantileOf(native, 0.9), p99: quantileOf(native, 0.99), 'p99.9': quantileOf(native, 0.999) }
}

/** While a process is replaced there are two in its place: the one that stays is the one that counts. */
function newest(answers: readonly ProcessAnswer[]): ProcessAnswer[] {
  return [...new Map(answers.map(one => [`${one.name}-${one.replica}`, one])).values()]
}

function labelled(readings: readonly MetricReading[], process: string): MetricReading[] {
  const add = (labels: Labels): Labels => ({ process, ...labels })
  return readings.map(({ name, samples }) => ({ name, samples: samples.map(sample => ({ ...sample, labels: add(sample.labels) })) }))
}

/** Also of processes that cannot answer. */
function statesOf({ orchestrator }: Deployment): MetricReading[] {
  const states = [...new Map(orchestrator.observe().filter(one => one.state !== 'draining').map(one => [`${one.name}-${one.replica}`, one]))]
  if (states.length === 0) return []
  return [
    { name: 'tenfold_process_ready', samples: states.map(([process, { state }]) => ({ labels: { process }, value: state === 'ready' ? 1 : 0 })) },
    { name: 'tenfold_process_restarts_total', samples: states.map(([process, { restarts }]) => ({ labels: { process }, value: restarts })) },
  ]
}
