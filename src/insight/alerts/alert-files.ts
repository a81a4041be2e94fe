/**
 * Everything that an application's alerts are, as files: Prometheus's configuration and
 * rules, Alertmanager's route, Grafana's dashboards, and a runbook page for each alert.
 */
import { stringify } from 'yaml'
import type { Manifest } from '../../model/manifest.ts'
import { boundOf } from '../../model/slo.ts'
import type { Alert } from './alert.ts'
import { burnAlerts } from './burn-rate.ts'
import { dashboards } from './dashboards.ts'
import { engineAlerts } from './engine-alerts.ts'
import { processAlerts } from './process-alerts.ts'
import { alertmanagerConfig } from './route.ts'
import type { Receivers } from './route.ts'
import { runbook, runbookFile } from './runbook.ts'
import { scaleAlerts } from './scale-alerts.ts'
import { seriesOf } from './series.ts'
import { objectivesIn, sloRules } from './slo-rules.ts'
import type { RecordingRule, RuleGroup } from './slo-rules.ts'

export const alerts: readonly Alert[] = [...burnAlerts, ...processAlerts, ...engineAlerts, ...scaleAlerts]

export interface AlertOptions extends Receivers {
  /** The scrape job; it keeps several applications apart that one Prometheus looks at. */
  readonly job: string
  /** Where /metrics answers: host:port. */
  readonly target: string
  /** Where the runbook pages are served, without their names. */
  readonly runbooks: string
}

export interface AlertingRule {
  readonly alert: string
  readonly expr: string
  readonly for?: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

function alertingRule(alert: Alert, { job, runbooks }: AlertOptions): AlertingRule {
  const { name, severity, summary, means, for: wait } = alert
  return {
    alert: name, expr: alert.expr(seriesOf(job), job), ...wait ? { for: wait } : {},
    labels: { severity, job }, annotations: { summary, description: means, runbook_url: `${runbooks.replace(/\/$/, '')}/${runbookFile(alert)}` },
  }
}

export function ruleGroups(manifest: Manifest, options: AlertOptions): RuleGroup<RecordingRule | AlertingRule>[] {
  const { job } = options
  const group = (name: string, all: readonly Alert[]) => ({ name: `tenfold-${job}-${name}`, rules: all.map(one => alertingRule(one, options)) })
  return [
    ...sloRules(manifest, job),
    ...objectivesIn(manifest).length > 0 ? [group('burn', burnAlerts)] : [],
    group('processes', processAlerts),
    group('engines', engineAlerts),
    group('scale', scaleAlerts),
  ]
}

function prometheusConfig({ job, target }: AlertOptions): object {
  return {
    global: { scrape_interval: '15s', evaluation_interval: '15s' },
    rule_files: ['rules.yml'],
    alerting: { alertmanagers: [{ static_configs: [{ targets: ['127.0.0.1:9093'] }] }] },
    scrape_configs: [{ job_name: job, metrics_path: '/metrics', static_configs: [{ targets: [target] }] }],
  }
}

/** Objectives whose latency lies between two bounds, with the bound that is used. */
export function roundedBounds(manifest: Manifest): { intent: string; withinMs: number; boundMs: number }[] {
  return objectivesIn(manifest).flatMap(({ name, slo: { latency } }) => {
    const boundMs = latency && Math.round(boundOf(latency.withinMs)! * 1e6) / 1e3
    return latency && boundMs !== latency.withinMs ? [{ intent: name, withinMs: latency.withinMs, boundMs: boundMs! }] : []
  })
}

const yaml = (about: string, value: object) => `# ${about}\n# Written by 'tenfold alerts', which writes over it.\n${stringify(value, { lineWidth: 0 })}`

/** Names of files and their text. */
export function alertFiles(manifest: Manifest, options: AlertOptions): ReadonlyMap<string, string> {
  const rounded = roundedBounds(manifest).map(({ intent, withinMs, boundMs }) => `\n# ${intent}: ${withinMs} ms is no bound of the histogram; judged at ${boundMs} ms.`).join('')
  return new Map([
    ['prometheus.yml', yaml('Prometheus: what it reads, and its rules. Keep 30 days: --storage.tsdb.retention.time=35d', prometheusConfig(options))],
    ['rules.yml', yaml(`Recording and alerting rules of ${manifest.application}.${rounded}`, { groups: ruleGroups(manifest, options) })],
    ['alertmanager.yml', yaml('Alertmanager: who is told. Fill in the receivers page and ticket, or name them with --page and --ticket.', alertmanagerConfig(options))],
    ...dashboards(options.job).map(one => [`dashboards/${one.name}.json`, `${JSON.stringify(one.dashboard, null, 2)}\n`] as const),
    ...alerts.map(alert => [`runbooks/${runbookFile(alert)}`, runbook(alert, options.job)] as const),
  ])
}
