/** What the supervisor tells of the machine: how busy its processors are, whoever makes them so. */
import { cpus } from 'node:os'
import type { MetricRegistry } from '../base/metric-registry.ts'

export function measureMachine(metrics: MetricRegistry): void {
  metrics.observe('tenfold_machine_cpu_seconds_total', () => {
    const times = cpus().map(one => one.times)
    const idle = times.reduce((sum, one) => sum + one.idle, 0) / 1_000
    const busy = times.reduce((sum, one) => sum + one.user + one.nice + one.sys + one.irq, 0) / 1_000
    return [{ labels: { state: 'busy' }, value: busy }, { labels: { state: 'idle' }, value: idle }]
  })
}
