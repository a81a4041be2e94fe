/**
 * A recorded trace as load: a CSV of two columns, the time and how many came from then until
 * the next row. Times are numbers, in the unit that the head of the column names (second,
 * minute, hour), or dates; lines that begin with # are comments.
 */
import { readFile } from 'node:fs/promises'
import { fault } from '../base/errors.ts'
import type { Profile, Segment } from './profile.ts'

export interface TraceOptions {
  /** How many times as fast as it was recorded. */
  readonly speed?: number
  /** The rate per second that its busiest interval gets. As recorded (times speed) when absent. */
  readonly peakPerSecond?: number
  /** Where in the recording to begin, in its own time. */
  readonly fromMs?: number
  /** How much of it, in the time of the run. */
  readonly durationMs?: number
}

export interface Trace { readonly profile: Profile; readonly durationMs: number }

interface Row { readonly atMs: number; readonly count: number }

const unitMs: Readonly<Record<string, number>> = { second: 1_000, s: 1_000, minute: 60_000, min: 60_000, hour: 3_600_000, h: 3_600_000 }

export async function readTrace(file: string, options: TraceOptions = {}): Promise<Trace> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => { throw fault('USAGE', `the trace ${file} cannot be read (${error.code})`) })
  return traceOf(text, file, options)
}

export function traceOf(text: string, file: string, { speed = 1, peakPerSecond, fromMs = 0, durationMs = Infinity }: TraceOptions = {}): Trace {
  const rows = rowsOf(text, file)
  const last = rows.at(-1)!
  const segments: (Segment & { readonly atMs: number })[] = rows.map(({ atMs, count }, index) => {
    const lengthMs = (rows[index + 1]?.atMs ?? last.atMs + (last.atMs - rows.at(-2)!.atMs)) - atMs
    const rate = count / lengthMs * 1_000 * speed
    return { atMs: atMs - rows[0]!.atMs, durationMs: lengthMs / speed, from: rate, to: rate }
  })
  const peak = segments.reduce((most, { from }) => Math.max(most, from), 0)
  if (peak === 0) throw fault('USAGE', `the trace ${file} has nothing but zeros`)
  const scale = peakPerSecond === undefined ? 1 : peakPerSecond / peak
  const taken: Segment[] = []
  let totalMs = 0
  for (const { atMs, durationMs: wholeMs, from } of segments) {
    const skippedMs = Math.min(wholeMs, Math.max(0, (fromMs - atMs) / speed))
    const lengthMs = Math.min(wholeMs - skippedMs, durationMs - totalMs)
    if (lengthMs <= 0) continue
    taken.push({ durationMs: lengthMs, from: from * scale, to: from * scale })
    totalMs += lengthMs
  }
  if (taken.length === 0) throw fault('USAGE', `the trace ${file} ends before --from`)
  return { profile: taken, durationMs: totalMs }
}

function rowsOf(text: string, file: string): Row[] {
  const lines = text.split(/\r?\n/).map((line, index) => ({ line: line.trim(), number: index + 1 })).filter(({ line }) => line !== '' && !line.startsWith('#'))
  const [head] = lines
  const heading = head?.line.split(',')[0]!.trim().toLowerCase()
  const isDated = heading === 'timestamp' || heading === 'time' || heading === 'date'
  const unit = heading === undefined ? undefined : unitMs[heading.replace(/s$/, '') || 's']
  if (!isDated && unit === undefined) throw fault('USAGE', `the trace ${file} must begin with a head like 'second,count', 'minute,count', 'hour,count' or 'timestamp,count'`)
  const rows = lines.slice(1).map(({ line, number }): Row => {
    const [time, count] = line.split(',')
    const atMs = isDated ? dateMs(time!) : time === '' ? NaN : Number(time) * unit!
    const row = { atMs, count: count === undefined || count.trim() === '' ? NaN : Number(count) }
    if (!Number.isFinite(row.atMs) || !(row.count >= 0) || row.count === Infinity) throw fault('USAGE', `line ${number} of the trace ${file} is '${line}'; it needs a time and a count`)
    return row
  })
  if (rows.length < 2) throw fault('USAGE', `the trace ${file} needs at least two rows`)
  const wrong = rows.findIndex((row, index) => index > 0 && row.atMs <= rows[index - 1]!.atMs)
  if (wrong > 0) throw fault('USAGE', `the trace ${file} goes back in time in row ${wrong + 1}`)
  return rows
}

/** A date without a zone is taken as UTC, so that summer time makes no hole. */
const dateMs = (text: string): number => Date.parse(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.trim().replace(' ', 'T')}Z`)
