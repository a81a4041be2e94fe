/**
 * The short way to a kept answer: which addresses led to which key, for requests of nobody
 * in particular. Such a request needs no routing, parsing or admission; a hit costs so little
 * that it is never refused.
 */
import { LRUCache } from 'lru-cache'
import { randomHex } from '../base/random.ts'
import { monotonicMs } from '../base/time.ts'
import { credentialsOf } from '../model/app.ts'
import type { Application } from '../model/app.ts'
import type { HttpAnswer, HttpRequest, RequestHead } from '../ports/ingress.ts'
import { matches, publicHeaders } from './answer.ts'
import { isStaleOf } from './query-cache.ts'
import type { Kept, QueryCache } from './query-cache.ts'
import { one, requestIdOf, tokenOfCookie } from './request.ts'
import type { Target } from './target.ts'
import type { Tracer } from './tracer.ts'

const addressesMax = 20_000
const addressCharactersMax = 512

interface Remembered { readonly key: string; readonly target: Target }

export class RecallMemo {
  readonly #cache: QueryCache
  readonly #tracer: Tracer
  readonly #credentials: readonly string[]
  readonly #byAddress = new LRUCache<string, Remembered>({ max: addressesMax })
  readonly #headers = new WeakMap<Kept, Readonly<Record<string, string>>>()

  constructor(app: Application, cache: QueryCache, tracer: Tracer) {
    this.#tracer = tracer
    this.#cache = cache
    this.#credentials = credentialsOf(app)
  }

  /** To be called for an answer that may be given to anybody. */
  remember({ method, address }: HttpRequest, target: Target, { key }: Kept): void {
    if (method === 'GET' && address.length <= addressCharactersMax && !this.#byAddress.has(address)) this.#byAddress.set(address, { key, target })
  }

  recall(address: string, headers: RequestHead['headers']): HttpAnswer | null {
    const known = this.#byAddress.get(address)
    if (!known || !this.#isAnybody(headers)) return null
    const { meter } = known.target
    const startedAtMs = meter ? monotonicMs() : 0
    const kept = this.#cache.peek(known.key)
    if (!kept || kept.note.refusal) return null
    const answer = { ...this.#headersOf(kept, known.target), 'x-request-id': headers['x-request-id'] === undefined ? randomHex(8) : requestIdOf(headers) }
    meter?.cache?.[isStaleOf(kept) ? 'stale' : 'hit'].add()
    meter?.succeeded(startedAtMs)
    const isKnown = matches(headers['if-none-match'], kept.note.etag)
    if (this.#tracer.exports || headers['traceparent'] !== undefined) this.#trace(known.target, address, headers, answer['x-request-id'], isKnown ? 304 : known.target.status)
    return isKnown ? { status: 304, headers: answer, body: null } : { status: known.target.status, headers: answer, body: kept.value }
  }

  /** What is given from here is neither slow nor failed: it leaves a trace only for those who ask for it. */
  #trace({ intent, route }: Target, address: string, headers: RequestHead['headers'], requestId: string, status: number): void {
    const span = this.#tracer.begin('request', intent.name, one(headers['traceparent']))
    span.facts = { method: 'GET', route, address, requestId, status }
    const found = span.begin('cache', intent.name)
    found.cache = 'hit'
    found.end()
    this.#tracer.finish(span)
  }

  #isAnybody(headers: RequestHead['headers']): boolean {
    for (const name of this.#credentials) if (headers[name] !== undefined) return false
    return headers['tenfold-token'] === undefined && (headers['cookie'] === undefined || tokenOfCookie(headers) === undefined)
  }

  #headersOf(kept: Kept, { caching }: Target): Readonly<Record<string, string>> {
    let headers = this.#headers.get(kept)
    if (!headers) this.#headers.set(kept, headers = { 'content-type': 'application/json; charset=utf-8', ...publicHeaders(caching, kept) })
    return headers
  }
}
