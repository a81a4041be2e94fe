/** What the admin port is made of: routes with segments, and answers that are data, content, or a stream. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { fault, isTenfoldError } from '../base/errors.ts'

/** Bytes with their type; anything else that a route answers is JSON. */
export class Content {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer

  constructor(body: string | Buffer, headers: Readonly<Record<string, string>>, status = 200) {
    this.body = body
    this.headers = headers
    this.status = status
  }
}

/** Writes to the response as long as it likes; the headers are its own too. */
export class Stream {
  readonly start: (response: ServerResponse) => void
  constructor(start: (response: ServerResponse) => void) { this.start = start }
}

export interface AdminCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Segments that the path names with a colon. */
  readonly path: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  /** The JSON of the body; an empty one is an empty object. */
  body(): Promise<Readonly<Record<string, unknown>>>
}

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** `/traces/:id` */
  readonly path: string
  /** True where nobody has to say who they are. */
  readonly open?: boolean
  answer(call: AdminCall): unknown
}

const bodyBytesMax = 65_536

export async function readBody(request: IncomingMessage): Promise<Readonly<Record<string, unknown>>> {
  let text = ''
  for await (const chunk of request) {
    text += String(chunk)
    if (text.length > bodyBytesMax) throw fault('PAYLOAD_TOO_LARGE', `a body of more than ${bodyBytesMax} bytes`)
  }
  if (text === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch { /* worded below */ }
  throw fault('BAD_REQUEST', 'the body is no JSON object')
}

/** The segments of a path that fits, by name; null for one that does not. */
export function matched(pattern: string, path: string): Record<string, string> | null {
  const [wanted, given] = [pattern.split('/'), path.split('/')]
  if (wanted.length !== given.length) return null
  const found: Record<string, string> = {}
  for (const [index, segment] of wanted.entries()) {
    if (segment.startsWith(':')) found[segment.slice(1)] = decoded(given[index]!)
    else if (segment !== given[index]) return null
  }
  return found
}

function decoded(segment: string): string {
  try { return decodeURIComponent(segment) } catch { throw fault('BAD_REQUEST', `the path has ${segment}, which is not percent-encoded UTF-8`) }
}

/** A number of the query string, within bounds. */
export function countOf(query: URLSearchParams, name: string, standard: number, max: number): number {
  const text = query.get(name)
  if (text === null) return standard
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1 || count > max) throw fault('INVALID_INPUT', `${name} is '${text}'; write a whole number from 1 to ${max}`)
  return count
}

/** A text of a body, which must be there. */
export function textOf(body: Readonly<Record<string, unknown>>, name: string): string {
  const value = body[name]
  if (typeof value !== 'string' || value === '') throw fault('INVALID_INPUT', `the body lacks the text '${name}'`)
  return value
}

export function send(response: ServerResponse, answer: unknown): void {
  if (answer instanceof Stream) return answer.start(response)
  const { status, headers, body } = answer instanceof Content ? answer
    : new Content(JSON.stringify(answer ?? null), { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  response.writeHead(status, headers)
  response.end(body)
}

/** Refusals are worded; anything else is a fault in the program and ends it. */
export function refuse(response: ServerResponse, error: unknown): void {
  if (!isTenfoldError(error)) throw error
  if (response.headersSent) { response.destroy(); return }
  response.writeHead(error.status, { 'content-type': 'application/json; charset=utf-8', 'cache-control': 'no-store' })
  response.end(JSON.stringify({ code: error.code, message: error.message }))
}
