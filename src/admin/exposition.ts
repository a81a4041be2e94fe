/** Metrics as text: of Prometheus (0.0.4), or of OpenMetrics (1.0.0) for who accepts it. */
import { histogramBounds } from '../base/histogram.ts'
import type { HistogramSample, Labels } from '../base/metric-registry.ts'
import type { MetricFamily } from './metrics.ts'

export interface TextPage { readonly contentType: string; readonly text: string }

export function exposition(families: readonly MetricFamily[], accept: string | undefined): TextPage {
  const isOpen = accept?.includes('application/openmetrics-text') ?? false
  const lines = families.flatMap(family => linesOf(family, isOpen))
  if (isOpen) lines.push('# EOF')
  return {
    contentType: isOpen ? 'application/openmetrics-text; version=1.0.0; charset=utf-8' : 'text/plain; version=0.0.4; charset=utf-8',
    text: `${lines.join('\n')}\n`,
  }
}

function linesOf({ name, type, unit, help, samples }: MetricFamily, isOpen: boolean): string[] {
  // To OpenMetrics _total belongs to the sample, not to the family.
  const family = isOpen && type === 'counter' ? name.replace(/_total$/, '') : name
  return [
    `# HELP ${family} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}`,
    `# TYPE ${family} ${type}`,
    ...isOpen && unit ? [`# UNIT ${family} ${unit}`] : [],
    ...samples.flatMap(sample => 'native' in sample ? histogramLines(name, sample, isOpen) : [`${name}${labelText(sample.labels)} ${numberText(sample.value)}`]),
  ]
}

function histogramLines(name: string, { labels, count, sum, bounded }: HistogramSample, isOpen: boolean): string[] {
  const counts = new Map(bounded)
  let below = 0
  const buckets = histogramBounds.map((bound, index) => {
    below += counts.get(index) ?? 0
    // OpenMetrics writes bounds as floating point numbers always.
    const le = isOpen && Number.isInteger(bound) ? bound.toFixed(1) : String(bound)
    return `${name}_bucket${labelText({ ...labels, le })} ${below}`
  })
  return [...buckets, `${name}_bucket${labelText({ ...labels, le: '+Inf' })} ${count}`, `${name}_sum${labelText(labels)} ${numberText(sum)}`, `${name}_count${labelText(labels)} ${count}`]
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')}"`)
  return pairs.length > 0 ? `{${pairs.join(',')}}` : ''
}

const numberText = (value: number): string => Number.isFinite(value) ? String(value) : value > 0 ? '+Inf' : value < 0 ? '-Inf' : 'NaN'
