/** Cross-origin requests (the Fetch standard): answers preflights and marks answers, for the origins that are allowed. */
import type { FastifyReply, FastifyRequest } from 'fastify'

const allowHeaders = 'Authorization, Content-Type, Idempotency-Key, Tenfold-Token, traceparent, X-Request-Id'
const exposeHeaders = 'Tenfold-Token, Retry-After, X-Request-Id'
const maxAgeSeconds = '600'

export function corsOf(origins: readonly string[]): ((request: FastifyRequest, reply: FastifyReply, done: () => void) => void) | null {
  if (origins.length === 0) return null
  const any = origins.includes('*')
  return (request, reply, done) => {
    const { origin } = request.headers
    const isPreflight = request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined
    if (!any) reply.header('vary', 'Origin')
    if (!any && (origin === undefined || !origins.includes(origin))) return done()
    reply.header('access-control-allow-origin', any ? '*' : origin)
    reply.header('access-control-expose-headers', exposeHeaders)
    if (!isPreflight) return done()
    void reply.code(204).headers({
      'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': allowHeaders,
      'access-control-max-age': maxAgeSeconds,
    }).send()
  }
}
