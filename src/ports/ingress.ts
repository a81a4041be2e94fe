/**
 * The ingress port: HTTP from the outside to the runtime.
 *
 * Contract
 * - The driver owns the wire: parsing, limits, guards against slow clients, keep-alive,
 *   drain. It hands over one plain request and sends one plain answer; it knows no intent.
 * - A path parameter is never empty: `/things/` does not reach `/things/:id`.
 * - A GET route answers HEAD as well: the request says HEAD, the answer goes without its body.
 *   204 and 304 have neither body nor content-type, whatever the answer holds.
 * - `admit` is asked before the body is read; a refusal is sent at once.
 * - A body that is not acceptable JSON in UTF-8 (on a route that takes JSON) never reaches `handle`: it is answered with `refuse`.
 * - A mount gets what is at or below its prefix; of several the longest prefix wins. One at `/`
 *   gets what nothing else answers, by path and method, with its body unread.
 * - `drain`: no new connection is accepted, each answer says `Connection: close`, running
 *   requests finish, those of mounts too, no idle connection is reset; resolves when all are
 *   gone. An idle connection may be used once more within lingerMs: its client may be about to.
 *   What still runs after graceMs is cut.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
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

/** A request before its body is read. Drivers may make the parts on first use. */
export interface RequestHead {
  readonly route: string
  readonly method: string
  /** As it came, percent-encoded, with the query. */
  readonly address: string
  /** As it came, percent-encoded, without the query. */
  readonly path: string
  readonly parameters: Readonly<Record<string, string>>
  /** A repeated parameter is an array. */
  readonly query: Readonly<Record<string, string | string[]>>
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly remoteAddress: string
  /** Aborts when the client goes away; the same one at each read, aborted if it has gone already. */
  readonly signal: AbortSignal
}

export interface HttpRequest extends RequestHead {
  /** Parsed JSON, or undefined when the body was empty; the Readable on a route whose body is a stream. */
  readonly body: unknown
}

export interface HttpAnswer {
  readonly status: number
  /** The driver adds the length. */
  readonly headers: Readonly<Record<string, string | string[]>>
  readonly body: string | Buffer | null
}

export interface Mount {
  /** `/legacy`: every request at or below it goes to the handler, untouched. */
  readonly prefix: string
  handle(request: IncomingMessage, response: ServerResponse): void
}

/** What `admit` decided about one request. The handler may keep in it what `ended` needs. */
export interface Admission {
  /** Null: go on. */
  readonly refusal: HttpAnswer | null
}

export interface IngressHandler {
  /** Asked before a GET or HEAD is routed: an answer that is at hand is sent at once, without `admit` and `ended`. */
  recall?(url: string, headers: RequestHead['headers']): HttpAnswer | null
  admit(request: RequestHead): Admission
  handle(request: HttpRequest): Promise<HttpAnswer>
  /** Called once for every request that `admit` let pass, with its admission, when its answer has been sent; or when its connection has gone and `handle`, if it was called, has come to its end. */
  ended(admission: Admission): void
  /** The answer to what cannot become a request: bad JSON, too large, unknown path. `allow` lists the methods of a known path. */
  refuse(code: ErrorCode, message: string, headers: RequestHead['headers'], allow?: readonly string[]): HttpAnswer
}

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** True: a supervisor listens there; `take` gets the connections it accepts, or `accept` its socket. */
  readonly handedDown?: boolean | undefined
  readonly routes: readonly Route[]
  readonly mounts: readonly Mount[]
  readonly handler: IngressHandler
  /** Origins allowed by CORS: '*' for any; empty for none. */
  readonly corsOrigins: readonly string[]
}

/** As it comes from another process. */
export type ListeningSocket = object

export interface Listening {
  readonly url: string
  readonly port: number
  /** Serves a connection that was accepted elsewhere and of which nothing has been read. */
  take(connection: Socket): void
  /** Accepts connections from a listening socket that was bound elsewhere, until it drains; resolves when it does. May be called with several copies. */
  accept(socket: ListeningSocket): Promise<void>
  drain(graceMs: number, lingerMs?: number): Promise<void>
  close(): Promise<void>
}

export interface Ingress {
  listen(options: ListenOptions): Promise<Listening>
}
