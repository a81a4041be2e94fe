/** A load run for people at a terminal: a line per second, and the table at the end. */
import { percent } from './report.ts'
import type { LoadProgress, LoadReport, StepReport } from './report.ts'

const whole = (value: number) => Math.round(value).toLocaleString('en')

export function durationText(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1_000).toFixed(1)} s`
  return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`
}

export function progressText(progress: LoadProgress): string {
  const { second, phase, offered, answers, good, refused, failed, p50Ms, p99Ms, inFlight, users, lateShare, generators } = progress
  const parts = [
    `${String(second).padStart(4)} s`, `offered ${whole(offered).padStart(6)}/s`, `answers ${whole(answers).padStart(6)}/s`, `good ${whole(good).padStart(6)}`,
    `refused ${whole(refused).padStart(4)}`, `errors ${whole(failed).padStart(4)}`, `p50 ${durationText(p50Ms).padStart(8)}`, `p99 ${durationText(p99Ms).padStart(8)}`,
    `in flight ${whole(inFlight).padStart(4)}`, `users ${whole(users).padStart(5)}`,
  ]
  if (generators > 1) parts.push(`${generators} generators`)
  if (lateShare > 0.01) parts.push(`${percent(lateShare)} sent late`)
  if (phase !== 'measuring') parts.push(phase)
  return parts.join('  ')
}

const heads = ['step', 'answers', 'good', 'refused', 'errors', 'p50', 'p90', 'p99', 'p99.9', 'max'] as const

export const stepCells = ({ step, answers, good, refused, failed, p50Ms, p90Ms, p99Ms, p999Ms, maxMs }: StepReport): string[] =>
  [step, whole(answers), whole(good), whole(refused), whole(failed), ...[p50Ms, p90Ms, p99Ms, p999Ms, maxMs].map(ms => good === 0 ? '–' : durationText(ms))]

export const stepHeads: readonly string[] = heads

export function reportText(report: LoadReport): string {
  const { load, seconds, url, journeys, steps, total, generator } = report
  const cells = [[...heads], ...steps.map(stepCells), stepCells(total)]
  const widths = heads.map((_, column) => Math.max(...cells.map(row => row[column]!.length)))
  const table = cells.map(row => row.map((cell, column) => column === 0 ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)).join('  ').trimEnd())
  table.splice(1, 0, widths.map(width => '─'.repeat(width)).join('  '))
  const lines = [
    `${load} for ${Number(seconds.toFixed(1))} s on ${url}${report.isAborted ? ', ended early' : ''}`,
    `${whole(report.offeredPerSecond)} requests/s offered, ${whole(report.answersPerSecond)}/s answered, ${whole(report.goodPerSecond)}/s good; journeys: ${whole(journeys.started)} begun, ${whole(journeys.finished)} finished, ${whole(journeys.gaveUp)} given up`,
    '', ...table, '', generatorText(report),
  ]
  const codes = codesText(report)
  if (codes) lines.push(codes)
  if (report.ledger !== null) lines.push(`${whole(report.acknowledged)} acknowledged writes in ${report.ledger}`)
  if (generator.waitedShare > 0.01) lines.push(`${percent(generator.waitedShare)} of the requests waited for a free connection, and the wait is in their latency: the server is behind, or raise --connections`)
  if (generator.isBound) lines.push(`GENERATOR-BOUND: ${generator.why}. These latencies are the generator's, not the server's: use more --generators, another machine, or less load.`)
  return lines.join('\n')
}

export function generatorText({ generator }: LoadReport): string {
  const { processes, lateMs, lateShare, latenessP99Ms, utilisationMax, cpuMax } = generator
  return `generator: ${processes === 1 ? '1 process' : `${processes} processes`}, busiest loop ${percent(utilisationMax)}, processor ${percent(cpuMax)} of a core; sends late by p99 ${durationText(latenessP99Ms)}, ${percent(lateShare)} by more than ${lateMs} ms`
}

function codesText({ total }: LoadReport): string | null {
  const bad = Object.entries(total.byCode).filter(([code]) => !(Number(code) < 400)).sort()
  return bad.length === 0 ? null : `not good: ${bad.map(([code, count]) => `${code} × ${whole(count)}`).join(', ')}`
}
