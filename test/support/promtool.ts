/** Rules against Prometheus's own unit tests: series are given minute by minute, and which alerts fire is compared exactly. */
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'

export interface GivenSeries { readonly series: string; readonly values: string }
export interface Firing { readonly alertname: string; readonly severity: string; readonly intent?: string; readonly sli?: string }
export interface RuleTest { readonly name: string; readonly given: readonly GivenSeries[]; readonly at: Readonly<Record<string, readonly Firing[]>> }

/** A counter that grows by so much per minute, for so many minutes, and goes on with the next. */
export function counter(...phases: readonly (readonly [perMinute: number, minutes: number])[]): string {
  let value = 0
  return ['0', ...phases.map(([perMinute, minutes]) => {
    const text = `${value + perMinute}+${perMinute}x${minutes - 1}`
    value += perMinute * minutes
    return text
  })].join(' ')
}

export const gauge = (value: number, minutes = 180): string => `${value}x${minutes}`

export const run = (program: string, argv: readonly string[], cwd?: string) => new Promise<{ code: number; text: string }>(resolve => {
  execFile(program, argv, { cwd, maxBuffer: 1e8 }, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, text: stdout + stderr }))
})

const labelText = (labels: object) => `{${Object.entries(labels).map(([name, value]) => `${name}="${value}"`).join(', ')}}`

/** What `promtool test rules` complains of; empty when every test holds. JSON is YAML too. */
export async function complaintsOf(groups: readonly object[], tests: readonly RuleTest[], more: Readonly<Record<string, object[]>> = {}): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-rules-'))
  try {
    await writeFile(path.join(folder, 'rules.yml'), JSON.stringify({ groups }))
    await writeFile(path.join(folder, 'test.yml'), JSON.stringify({
      rule_files: ['rules.yml'], evaluation_interval: '1m',
      tests: tests.map(({ name, given, at }) => ({
        name, interval: '1m', input_series: given,
        promql_expr_test: Object.entries(at).map(([eval_time, firing]) => ({
          expr: 'max by (alertname, severity, intent, sli) (ALERTS{alertstate="firing"})', eval_time,
          exp_samples: firing.map(one => ({ labels: labelText(one), value: 1 })),
        })),
        ...more,
      })),
    }))
    const { code, text } = await run('promtool', ['test', 'rules', 'test.yml'], folder)
    return code === 0 ? '' : text
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
