/** The bench's result as a table for people and as a file for later. */
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus } from 'node:os'
import path from 'node:path'
import { rootFolder } from './process.ts'
import type { Figures } from './rounds.ts'

export interface RowResult {
  readonly name: string
  readonly title: string
  readonly conduit: Figures | null
  readonly reference: Figures
  /** Conduit's requests per second as a part of the reference's. */
  readonly ratio: number | null
}

export interface BenchResult {
  readonly at: string
  readonly commit: string
  readonly machine: string
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  /** True when the reference was measured against itself. */
  readonly selfTest: boolean
  readonly rows: readonly RowResult[]
}

export const machineText = () => `${cpus()[0]?.model ?? process.arch}, ${availableParallelism()} CPUs, Node ${process.versions.node}`

export function commitText(): string {
  const result = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: rootFolder, encoding: 'utf8' })
  return result.status === 0 ? result.stdout.trim() : 'unknown'
}

const whole = (value: number | null | undefined) => value === null || value === undefined ? '' : Math.round(value).toLocaleString('en')
const fine = (value: number | null | undefined) => value === null || value === undefined ? '' : value.toFixed(2)

function unexpected(figures: Figures | null): string {
  if (!figures) return ''
  const refused = Object.entries(figures.byStatus).filter(([status]) => !status.startsWith('2')).map(([status, count]) => `${count}×${status}`)
  return [...refused, ...(figures.failures > 0 ? [`${figures.failures} broken`] : [])].join(' ')
}

export function tableText(result: BenchResult): string {
  const head = ['', 'Conduit req/s', 'reference', 'ratio', 'p99 ms', 'ref p99', 'app µs', 'ref app', 'Postgres µs', 'ref Postgres', 'not 2xx']
  const lines = result.rows.map(({ title, conduit, reference, ratio }) => [
    title, whole(conduit?.requestsPerSecond), whole(reference.requestsPerSecond), fine(ratio), fine(conduit?.p99Ms), fine(reference.p99Ms),
    whole(conduit?.appMicroseconds), whole(reference.appMicroseconds), whole(conduit?.postgresMicroseconds), whole(reference.postgresMicroseconds),
    [unexpected(conduit), unexpected(reference)].filter(Boolean).join(' | '),
  ])
  const widths = head.map((title, column) => Math.max(title.length, ...lines.map(line => line[column]!.length)))
  const draw = (cells: readonly string[]) => `| ${cells.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join(' | ')} |`
  return [draw(head), `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`, ...lines.map(draw), ''].join('\n')
}

export async function writeResult(result: BenchResult): Promise<string> {
  const folder = path.join(rootFolder, 'bench', 'results')
  await mkdir(folder, { recursive: true })
  const file = path.join(folder, `${result.at.slice(0, 10)}-${result.commit}${result.selfTest ? '-self-test' : ''}.json`)
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`)
  return file
}
