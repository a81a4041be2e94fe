/** `GET /logs`: the newest lines of all processes; with `follow=1` as server-sent events, then those to come. */
import type { ServerResponse } from 'node:http'
import { fault } from '../base/errors.ts'
import { every } from '../base/time.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { LogBook } from '../boot/log-book.ts'
import { levels, passes } from '../boot/log-line.ts'
import type { LogFilter, LogLine } from '../boot/log-line.ts'
import { Stream } from './route.ts'
import { limitOf } from './limit.ts'
import type { AdminRoute } from './route.ts'

const limitBounds = { standard: 200, min: 0, max: 2_000 }
/** A reader that is so far behind is cut off; it comes back by itself. */
const waitingBytesMax = 1_048_576
const heartbeatMs = 15_000


export function filterOf(query: URLSearchParams): LogFilter {
  const text = (name: string) => query.get(name) || undefined
  const level = text('level')
  if (level !== undefined && !(level in levels)) throw fault('BAD_REQUEST', `the level '${level}' is none of ${Object.keys(levels).join(', ')}`)
  return { level: level === undefined ? undefined : levels[level], intent: text('intent'), trace: text('trace'), process: text('process') }
}

export const logList = (book: LogBook, query: URLSearchParams): LogLine[] => book.recent(filterOf(query), limitOf(query, limitBounds))

export function logStream(book: LogBook, query: URLSearchParams, response: ServerResponse): void {
  const [filter, limit] = [filterOf(query), limitOf(query, limitBounds)]
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-store', 'x-accel-buffering': 'no' })
  const send = (line: LogLine) => {
    if (response.writableLength > waitingBytesMax) response.destroy()
    else response.write(`data: ${JSON.stringify(line)}\n\n`)
  }
  response.write(': the log\n\n')
  for (const line of book.recent(filter, limit)) send(line)
  const stopListening = book.listen(line => { if (passes(line, filter)) send(line) })
  const stopBeating = every(heartbeatMs, () => { response.write(': still here\n\n') })
  response.on('close', () => { stopListening(); stopBeating() })
}

export function logRoutes({ book }: Deployment): AdminRoute[] {
  return [{
    method: 'GET', path: '/logs',
    answer({ query }) {
      if (!book) throw fault('NOT_SUPPORTED', 'this deployment keeps no log')
      if (query.get('follow') !== '1') return logList(book, query)
      filterOf(query)
      return new Stream(response => logStream(book, query, response))
    },
  }]
}
