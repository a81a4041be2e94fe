/** What the supervisor tells of the machine: how busy its processors are, whoever makes them so, and what room its disks have. */
import { readdirSync, statfsSync } from 'node:fs'
import { cpus } from 'node:os'
import path from 'node:path'
import type { MetricRegistry } from '../base/metric-registry.ts'
import { now } from '../base/time.ts'

interface Room { readonly folder: string; readonly available: number; readonly size: number }

/** Of the data folder, and of each replica's, which may lie on a disk of its own. */
function roomIn(dataFolder: string): Room[] {
  const replicas = orNone(() => readdirSync(path.join(dataFolder, 'replicas')).filter(name => /^\d+$/.test(name)).map(name => `replicas/${name}`))
  return [['data', dataFolder] as const, ...replicas.map(folder => [folder, path.join(dataFolder, folder)] as const)].flatMap(([folder, place]) => orNone(() => {
    const { bavail, blocks, bsize } = statfsSync(place)
    return [{ folder, available: bavail * bsize, size: blocks * bsize }]
  }))
}

/** A folder may not be there yet, or be taken away at this moment: then nothing is told of it. */
function orNone<T>(read: () => T[]): T[] { try { return read() } catch { return [] } }

export function measureMachine(metrics: MetricRegistry, dataFolder: string): void {
  metrics.observe('tenfold_clock_seconds', () => [{ labels: {}, value: now() / 1_000 }])
  metrics.observe('tenfold_disk_available_bytes', () => roomIn(dataFolder).map(({ folder, available }) => ({ labels: { folder }, value: available })))
  metrics.observe('tenfold_disk_size_bytes', () => roomIn(dataFolder).map(({ folder, size }) => ({ labels: { folder }, value: size })))
  metrics.observe('tenfold_machine_cpu_seconds_total', () => {
    const times = cpus().map(one => one.times)
    const idle = times.reduce((sum, one) => sum + one.idle, 0) / 1_000
    const busy = times.reduce((sum, one) => sum + one.user + one.nice + one.sys + one.irq, 0) / 1_000
    return [{ labels: { state: 'busy' }, value: busy }, { labels: { state: 'idle' }, value: idle }]
  })
}
