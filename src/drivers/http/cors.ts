/** Cross-origin requests (the Fetch standard): answers preflights and marks answers, for the origins that are allowed. */
import type { IncomingMessage } from 'node:http'
import type { HttpAnswer } from '../../ports/ingress.ts'

const allowHeaders = 'Authorization, Content-Type, Idempotency-Key, Tenfold-Token, traceparent, X-Request-Id'
const exposeHeaders = 'Tenfold-Token, Retry-After, X-Request-Id'
const maxAgeSeconds = '600'

const preflightAnswer: HttpAnswer = {
  status: 204, body: null,
  headers: {
    'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
    'access-control-allow-headers': allowHeaders,
    'access-control-max-age': maxAgeSeconds,
  },
}

export interface Cors {
  /** What every answer to this request says besides its own headers: names and values in turn. */
  headersOf(request: IncomingMessage): readonly string[]
  /** The answer to a preflight from an allowed origin; null for anything else. */
  preflight(request: IncomingMessage): HttpAnswer | null
}

export function corsOf(origins: readonly string[]): Cors {
  const allowsAny = origins.includes('*')
  const isAllowed = (origin: string | undefined) => allowsAny || (origin !== undefined && origins.includes(origin))
  const anyHeaders = ['access-control-allow-origin', '*', 'access-control-expose-headers', exposeHeaders]
  const none: readonly string[] = []
  const headersOf = ({ headers: { origin } }: IncomingMessage) => isAllowed(origin)
    ? ['vary', 'Origin', 'access-control-allow-origin', origin!, 'access-control-expose-headers', exposeHeaders]
    : ['vary', 'Origin']
  return {
    headersOf: origins.length === 0 ? () => none : allowsAny ? () => anyHeaders : headersOf,
    preflight({ method, headers }) {
      return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined && isAllowed(headers.origin) ? preflightAnswer : null
    },
  }
}
