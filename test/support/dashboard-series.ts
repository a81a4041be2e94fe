/** The series that the dashboards of Conduit show, and which of them a page of metrics lacks. Records of rules are Prometheus's own. */
import { app } from '../../examples/conduit/app.ts'
import { manifestOf } from '../../src/index.ts'
import { alertFiles } from '../../src/insight/alerts/alert-files.ts'
import type { MetricPage } from './metric-page.ts'

export interface WantedSeries { readonly name: string; readonly labels: Readonly<Record<string, string>> }

const ofPrometheus = /^(up|tenfold:.*)$/

/** What the panels ask, as it is written: Grafana puts its variables in. */
export function dashboardExpressions(): readonly string[] {
  const files = alertFiles(manifestOf(app), { job: 'conduit', target: '127.0.0.1:4000', runbooks: 'runbooks', page: 'http://127.0.0.1:9/page' })
  return [...files].filter(([name]) => name.startsWith('dashboards/'))
    .flatMap(([, text]) => [...text.matchAll(/"expr": ("(?:[^"\\]|\\.)*")/g)].map(match => JSON.parse(match[1]!) as string))
}

export function dashboardSeries(): readonly WantedSeries[] {
  const selectors = dashboardExpressions().flatMap(expr => [...expr.matchAll(/([a-z_][\w:]*)\{([^}]*)\}/g)].map(([, name, inside]) => ({
    name: name!,
    // The job is given to a series when it is scraped; patterns may fit nothing.
    labels: Object.fromEntries([...inside!.matchAll(/(\w+)="([^"]*)"/g)].filter(([, label]) => label !== 'job').map(([, label, value]) => [label!, value!])),
  })))
  const all = new Map(selectors.filter(({ name }) => !ofPrometheus.test(name)).map(one => [JSON.stringify(one), one]))
  return [...all.values()]
}

export const lackingIn = (page: MetricPage): readonly WantedSeries[] =>
  dashboardSeries().filter(({ name, labels }) => !page.samples.some(sample => sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value)))
