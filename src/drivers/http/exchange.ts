/** One request and its answer. The parts that few handlers look at are made on first use. */
import type { IncomingMessage } from 'node:http'
import type { Admission, HttpAnswer, HttpRequest, IngressHandler, Route } from '../../ports/ingress.ts'
import { writeAnswer } from './answer.ts'
import type { Cors } from './cors.ts'
import { parseQuery } from './query-string.ts'
import type { TrackedResponse } from './server.ts'

export class Exchange implements HttpRequest {
  readonly route: string
  readonly parameters: Readonly<Record<string, string>>
  readonly raw: IncomingMessage
  body: unknown = undefined
  readonly #response: TrackedResponse
  readonly #queryText: string
  readonly #handler: IngressHandler
  #admission: Admission | null = null
  #query: HttpRequest['query'] | undefined
  #controller: AbortController | undefined
  #hasClientLeft = false
  #isServing = false
  #isClosed = false

  constructor(route: Route, parameters: Readonly<Record<string, string>>, queryText: string, raw: IncomingMessage, response: TrackedResponse, handler: IngressHandler) {
    this.route = route.name
    this.parameters = parameters
    this.raw = raw
    this.#queryText = queryText
    this.#response = response
    this.#handler = handler
  }

  get method(): string { return this.raw.method! }

  get headers(): HttpRequest['headers'] { return this.raw.headers }

  get query(): HttpRequest['query'] { return this.#query ??= parseQuery(this.#queryText) }

  get address(): string { return this.raw.url! }

  get path(): string { return pathOf(this.raw.url!) }

  get remoteAddress(): string { return this.raw.socket.remoteAddress ?? '' }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#hasClientLeft) this.#controller.abort()
    }
    return this.#controller.signal
  }

  /** Null: the request goes on, and the handler hears of its end. */
  admit(): HttpAnswer | null {
    const admission = this.#handler.admit(this)
    if (admission.refusal) return admission.refusal
    this.#admission = admission
    this.#response.whenClosed = this
    return null
  }

  closed(): void {
    if (!this.#response.writableFinished) {
      this.#hasClientLeft = true
      this.#controller?.abort()
    }
    this.#isClosed = true
    if (!this.#isServing) this.#handler.ended(this.#admission!)
  }

  /** The handler has begun. What it does for a client that has gone still takes its place. */
  serving(): void { this.#isServing = true }

  served(): void {
    this.#isServing = false
    if (this.#isClosed) this.#handler.ended(this.#admission!)
  }

  send(answer: HttpAnswer, cors: Cors): void { writeAnswer(this.raw, this.#response, answer, cors.headersOf(this.raw)) }
}

/** Without the query; of a target in absolute form (RFC 9112 §3.2.2) the path alone. */
function pathOf(url: string): string {
  const from = url.startsWith('/') ? 0 : Math.max(0, url.indexOf('/', url.indexOf('//') + 2))
  const end = url.search(/[?#]/)
  return end < 0 ? url.slice(from) : url.slice(from, end)
}
