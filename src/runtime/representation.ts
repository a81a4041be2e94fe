/**
 * Answering with stored bytes as RFC 9110 asks: conditions (13), one range (14), HEAD. The
 * validator is a strong ETag; dates are not used.
 */
import { pipeline } from 'node:stream'
import type { Readable } from 'node:stream'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'

export interface Representation {
  /** Strong, with its quotation marks. */
  readonly etag: string
  readonly bytes: number
  /** Of the answer, whatever its status. */
  readonly headers: Readonly<Record<string, string>>
  /** Of an answer with a body: its type and encoding. */
  readonly bodyHeaders: Readonly<Record<string, string>>
}

export interface Span { readonly offset: number; readonly bytes: number }

export interface Choice {
  readonly status: 200 | 206 | 304 | 412 | 416
  readonly headers: Readonly<Record<string, string>>
  /** What of the bytes is sent; null for none. */
  readonly span: Span | null
}

type Open = (span: Span) => Readable | Promise<Readable>

export function choose(method: string, asked: IncomingHttpHeaders, { etag, bytes, headers, bodyHeaders }: Representation): Choice {
  const always = { ...headers, etag }
  if (asked['if-match'] !== undefined && !names(asked['if-match'], etag, false)) return { status: 412, headers: { ...headers, 'content-length': '0' }, span: null }
  if (asked['if-none-match'] !== undefined && names(asked['if-none-match'], etag, true)) return { status: 304, headers: always, span: null }
  const whole = { 'accept-ranges': 'bytes', ...always, ...bodyHeaders }
  const isAbout = asked['if-range'] === undefined || asked['if-range'] === etag
  const range = method === 'GET' && isAbout && typeof asked.range === 'string' ? parseRange(asked.range, bytes) : 'all'
  if (range === 'none') return { status: 416, headers: { ...headers, 'content-range': `bytes */${bytes}`, 'content-length': '0' }, span: null }
  if (range === 'all') return { status: 200, headers: { ...whole, 'content-length': String(bytes) }, span: method === 'HEAD' ? null : { offset: 0, bytes } }
  const contentRange = `bytes ${range.offset}-${range.offset + range.bytes - 1}/${bytes}`
  return { status: 206, headers: { ...whole, 'content-range': contentRange, 'content-length': String(range.bytes) }, span: range }
}

function names(list: string, etag: string, weakly: boolean): boolean {
  return list.split(',').some(one => {
    const text = one.trim()
    return text === '*' || text === etag || (weakly && text === `W/${etag}`)
  })
}

/** Several ranges, and what is no range of bytes, may be ignored: then all is sent. */
function parseRange(text: string, size: number): Span | 'all' | 'none' {
  const [, first, last] = /^bytes=\s*(\d{0,15})-(\d{0,15})\s*$/i.exec(text) ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return 'all'
  if (first === '') {
    const bytes = Math.min(Number(last), size)
    return bytes === 0 ? 'none' : { offset: size - bytes, bytes }
  }
  const offset = Number(first)
  if (last !== '' && Number(last) < offset) return 'all'
  if (offset >= size) return 'none'
  return { offset, bytes: Math.min(last === '' ? size : Number(last) + 1, size) - offset }
}

export async function answerWith(request: IncomingMessage, response: ServerResponse, representation: Representation, open: Open): Promise<void> {
  const { status, headers, span } = choose(request.method!, request.headers, representation)
  if (!span) {
    response.writeHead(status, headers)
    return void response.end()
  }
  const body = await open(span)
  response.writeHead(status, headers)
  // When it breaks in the middle the connection is cut, so that nobody takes a part for the whole.
  pipeline(body, response, () => {})
}

/** For what cannot be answered with bytes. */
export function refuse(response: ServerResponse, status: 404 | 405 | 500 | 503, headers: Readonly<Record<string, string>> = {}): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { 'cache-control': 'no-store', 'content-length': '0', ...headers })
  response.end()
}

/** True when the method reads; answers 405 otherwise. */
export function reads(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return true
  refuse(response, 405, { allow: 'GET, HEAD' })
  return false
}
