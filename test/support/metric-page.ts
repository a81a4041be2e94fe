/** Reads metrics in tests: from a page of text, or from the readings of a process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import assert from 'node:assert/strict'
import type { MetricRegistry } from '../../src/base/metric-registry.ts'
import type { MetricName } from '../../src/base/metric-table.ts'

type Wanted = Readonly<Record<string, string>>
const fits = (labels: Readonly<Record<string, string>>, wanted: Wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value)

/** The sum of the samples with these labels; of a histogram its count. */
export function total(metrics: MetricRegistry, name: MetricName, wanted: Wanted = {}): number {
  const samples = metrics.read().find(one => one.name === name)?.samples ?? []
  return samples.filter(one => fits(one.labels, wanted)).reduce((sum, one) => sum + ('count' in one ? one.count : one.value), 0)
}

export interface PageSample { readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly value: number }

export class MetricPage {
  readonly text: string
  readonly samples: readonly PageSample[]

  constructor(text: string) {
    this.text = text
    this.samples = text.split('\n').filter(line => line !== '' && !line.startsWith('#')).map(line => {
      const parts = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line)
      assert.ok(parts, line)
      const labels = Object.fromEntries([...(parts[2] ?? '').matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name!, value!]))
      return { name: parts[1]!, labels, value: Number(parts[3]) }
    })
  }

  total(name: string, wanted: Wanted = {}): number {
    return this.samples.filter(one => one.name === name && fits(one.labels, wanted)).reduce((sum, one) => sum + one.value, 0)
  }

  processes(): string[] { return [...new Set(this.samples.flatMap(({ labels }) => labels.process ?? []))].sort() }

  /** What Prometheus's own checker says; nothing when all is well. */
  async complaints(): Promise<string> {
    const checker = spawn('promtool', ['check', 'metrics'])
    let said = ''
    for (const stream of [checker.stdout, checker.stderr]) stream.setEncoding('utf8').on('data', text => { said += text })
    checker.stdin.end(this.text)
    const [status] = await once(checker, 'close') as [number | null]
    return status === 0 ? said : `${status}: ${said}`
  }
}

export async function readPage(adminUrl: string, accept = 'text/plain'): Promise<MetricPage> {
  return new MetricPage(await (await fetch(`${adminUrl}/metrics`, { headers: { accept } })).text())
}
