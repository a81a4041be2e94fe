/** Lines of the log as data: read, filtered, and worded for people. */

export interface LogLine {
  /** Milliseconds since 1970. */
  readonly time: number
  /** Pino's: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
  readonly level: number
  /** `web.0`, or `supervisor`. */
  readonly process?: string
  readonly intent?: string
  readonly traceId?: string
  readonly msg?: string
  readonly [field: string]: unknown
}

export interface LogFilter {
  readonly level?: number | undefined
  readonly intent?: string | undefined
  readonly trace?: string | undefined
  /** `web.0`, or `web` for all of them. */
  readonly process?: string | undefined
  readonly sinceMs?: number | undefined
}

export const levels: Readonly<Record<string, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 }

/** What a process printed, as a line of JSON; what is none already becomes one. */
export function lineOf(process: string, isError: boolean, text: string, atMs: number): string {
  if (text.startsWith('{"level":') && text.endsWith('}')) return text
  return JSON.stringify({ level: isError ? levels.warn : levels.info, time: atMs, process, msg: text })
}

export function parseLine(text: string): LogLine | null {
  try {
    const line = JSON.parse(text) as LogLine
    return typeof line.time === 'number' && typeof line.level === 'number' ? line : null
  } catch { return null }
}

export function passes(line: LogLine, { level, intent, trace, process, sinceMs }: LogFilter): boolean {
  return (level === undefined || line.level >= level)
    && (sinceMs === undefined || line.time >= sinceMs)
    && (intent === undefined || line.intent === intent)
    && (trace === undefined || line.traceId === trace)
    && (process === undefined || line.process === process || line.process?.slice(0, line.process.lastIndexOf('.')) === process)
}

const shown = new Set(['time', 'level', 'process', 'intent', 'msg', 'err', 'name', 'pid'])
const colours: Readonly<Record<number, string>> = { 10: '90', 20: '90', 30: '32', 40: '33', 50: '31', 60: '35' }
const names: Readonly<Record<number, string>> = Object.fromEntries(Object.entries(levels).map(([name, level]) => [level, name]))

export function wordLine(line: LogLine, isColoured: boolean): string {
  const paint = (code: string, text: string) => isColoured && text !== '' ? `\u001b[${code}m${text}\u001b[0m` : text
  const rest = Object.entries(line).filter(([name]) => !shown.has(name)).map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
  const level = (names[line.level] ?? String(line.level)).toUpperCase().padEnd(5)
  const parts = [new Date(line.time).toISOString().slice(11, 23), paint(colours[line.level] ?? '0', level), paint('36', (line.process ?? '').padEnd(10)), line.intent ?? '', line.msg ?? '', paint('90', rest.join(' '))]
  const error = line.err as { stack?: string; message?: string } | undefined
  const stack = error?.stack ?? error?.message
  return parts.filter(part => part !== '').join(' ') + (stack ? `\n${stack.replaceAll(/^/gm, '    ')}` : '')
}
