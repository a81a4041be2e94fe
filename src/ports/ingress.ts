/**
 * The ingress port: HTTP from the outside to the runtime.
 *
 * Contract
 * - The driver owns the wire: parsing, limits, guards against slow clients, keep-alive,
 *   drain. It hands over one plain request and sends one plain answer; it knows no intent.
 * - `admit` is asked before the body is read; an answer instead of null is sent at once.
 * - A body that is not acceptable JSON (on a route that takes JSON) never reaches `handle`: it is answered with `refuse`.
 * - `drain`: no new connection is accepted, each answer says `Connection: close`, running
 *   requests finish, no idle connection is reset; resolves when all are gone or graceMs is over.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ErrorCode } from '../base/errors.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface Route {
  readonly method: Method
  /** `/articles/:slug`; parameters are single segments. */
  readonly path: string
  readonly bodyBytesMax: number
  /** 'stream': whatever the type, the body is handed over unread, as a Readable. Default 'json'. */
  readonly body?: 'json' | 'stream'
  /** Given back with each request. */
  readonly name: string
}

export interface HttpRequest {
  readonly route: string
  readonly method: string
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  /** A repeated parameter is an array. */
  readonly query: Readonly<Record<string, string | string[]>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** Parsed JSON, or undefined when the body was empty; the Readable on a route whose body is a stream. */
  readonly body: unknown
  readonly remoteAddress: string
  /** Aborts when the client went away. */
  readonly signal: AbortSignal
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: string | Buffer | null
}

export interface Mount {
  /** `/legacy`: every request at or below it goes to the handler, untouched. */
  readonly prefix: string
  handle(request: IncomingMessage, response: ServerResponse): void
}

export interface IngressHandler {
  /** Null: go on. An answer: refuse before the body is read. */
  admit(route: string, headers: HttpRequest['headers']): HttpAnswer | null
  handle(request: HttpRequest): Promise<HttpAnswer>
  /** Called once for every request that `admit` let pass, when its answer has been sent or its connection has gone. */
  ended(route: string): void
  /** The answer to what cannot become a request: bad JSON, too large, unknown path. `allow` lists the methods of a known path. */
  refuse(code: ErrorCode, message: string, headers: HttpRequest['headers'], allow?: readonly string[]): HttpAnswer
}

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** A listening socket handed down by a supervisor, instead of host and port. */
  readonly handle?: unknown
  readonly routes: readonly Route[]
  readonly mounts: readonly Mount[]
  readonly handler: IngressHandler
  /** Origins allowed by CORS: '*' for any; empty for none. */
  readonly corsOrigins: readonly string[]
}

export interface Listening {
  readonly url: string
  readonly port: number
  drain(graceMs: number): Promise<void>
  close(): Promise<void>
}

export interface Ingress {
  listen(options: ListenOptions): Promise<Listening>
}
