/**
 * The ingress port on Node's HTTP server, routed by Fastify. It knows routes and bytes,
 * no intents.
 */
import net from 'node:net'
import type http from 'node:http'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { fault, isTenfoldError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { HttpAnswer, HttpRequest, Ingress, Listening, ListenOptions, Route } from '../../ports/ingress.ts'
import { corsOf } from './cors.ts'
import { parseJsonBody } from './json-body.ts'
import { parseQuery } from './query-string.ts'
import { createServer } from './server.ts'
import type { GuardTimes } from './server.ts'

const standardTimes: GuardTimes = {
  headersTimeoutMs: limits.headersTimeoutMs,
  requestTimeoutMs: limits.requestTimeoutMs,
  keepAliveTimeoutMs: limits.keepAliveTimeoutMs,
  connectionsCheckingIntervalMs: limits.connectionsCheckingIntervalMs,
}

interface State { inFlight: number; draining: boolean }

export function openHttpIngress({ log, times = standardTimes }: { readonly log: Logger; readonly times?: GuardTimes }): Ingress {
  return {
    async listen(options) {
      const state: State = { inFlight: 0, draining: false }
      const fastify = createFastify(options, state, log, times)
      await fastify.ready()
      const port = await bind(fastify.server, options)
      return listening(fastify, options.host, port, state)
    },
  }
}

function createFastify(options: ListenOptions, state: State, log: Logger, times: GuardTimes): FastifyInstance {
  const { handler } = options
  const fastify = Fastify({
    logger: false, exposeHeadRoutes: true, return503OnClosing: false, requestIdHeader: false,
    bodyLimit: limits.bodyBytesMax, routerOptions: { maxParamLength: 1_024, querystringParser: parseQuery },
    frameworkErrors: (error, request, reply) => { void send(reply, handler.refuse('BAD_REQUEST', error.message, request.headers), state) },
    serverFactory: listener => createServer(listener, options.mounts, times),
  })
  fastify.removeAllContentTypeParsers()
  fastify.addContentTypeParser(/^application\/([\w.-]+\+)?json\b/i, { parseAs: 'string' }, (_request, body, done) => {
    try { done(null, parseJsonBody(body as string)) } catch (error) { done(error as Error) }
  })
  const cors = corsOf(options.corsOrigins)
  if (cors) fastify.addHook('onRequest', cors)
  fastify.setErrorHandler((error, request, reply) => {
    const { code, message } = refusalOf(error)
    if (code === 'INTERNAL') log.error({ err: error }, 'the ingress failed')
    return send(reply, handler.refuse(code, message, request.headers), state)
  })
  const methods = methodsByPath(options.routes)
  fastify.setNotFoundHandler((request, reply) => {
    const allow = methods(request.url)
    return send(reply, allow ? handler.refuse('METHOD_NOT_ALLOWED', `${request.method} is not answered here`, request.headers, allow)
      : handler.refuse('NOT_FOUND', `nothing answers ${request.method} ${request.url.slice(0, 200)}`, request.headers), state)
  })
  for (const route of options.routes) if (route.body !== 'stream') addRoute(fastify, route, options, state)
  void fastify.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', (_request, body, done) => done(null, body))
    for (const route of options.routes) if (route.body === 'stream') addRoute(scope, route, options, state)
  })
  return fastify
}

function addRoute(fastify: FastifyInstance, { method, path, bodyBytesMax, name }: Route, { handler }: ListenOptions, state: State): void {
  fastify.route({
    method, url: path, ...(method === 'GET' ? {} : { bodyLimit: bodyBytesMax }),
    onRequest(request, reply, done) {
      const refusal = handler.admit(name, request.headers)
      if (refusal) return void send(reply, refusal, state)
      state.inFlight++
      // 'close' comes once for every response, whether it was sent or the connection went away.
      reply.raw.once('close', () => { state.inFlight--; handler.ended(name) })
      done()
    },
    async handler(request, reply) {
      const answer = await handler.handle(new IncomingRequest(name, path, request, reply))
      return send(reply, answer, state)
    },
  })
}

class IncomingRequest implements HttpRequest {
  readonly route: string
  readonly path: string
  readonly method: string
  readonly parameters: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string | string[]>>
  readonly headers: HttpRequest['headers']
  readonly body: unknown
  readonly #request: FastifyRequest
  readonly #reply: FastifyReply

  constructor(route: string, path: string, request: FastifyRequest, reply: FastifyReply) {
    this.route = route
    this.path = path
    this.method = request.method
    this.parameters = request.params as Record<string, string>
    this.query = request.query as Record<string, string | string[]>
    this.headers = request.headers
    this.body = request.body
    this.#request = request
    this.#reply = reply
  }

  get remoteAddress(): string { return this.#request.ip }

  /** Made on demand: few handlers look. */
  get signal(): AbortSignal {
    const controller = new AbortController()
    this.#reply.raw.once('close', () => { if (!this.#reply.raw.writableFinished) controller.abort() })
    return controller.signal
  }
}

function send(reply: FastifyReply, answer: HttpAnswer, state: State): FastifyReply {
  reply.code(answer.status).headers(answer.headers)
  if (state.draining) reply.header('connection', 'close')
  return reply.send(answer.body ?? undefined)
}

const codes: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'BAD_REQUEST',
  FST_ERR_CTP_INVALID_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_BAD_URL: 'BAD_REQUEST',
}

function refusalOf(error: unknown): { code: ErrorCode; message: string } {
  if (isTenfoldError(error)) return error
  const { code = '', statusCode, message } = error as Error & { code?: string; statusCode?: number }
  const known = codes[code] ?? (statusCode !== undefined && statusCode < 500 ? 'BAD_REQUEST' : 'INTERNAL')
  return { code: known, message: known === 'INTERNAL' ? 'A fault in the program.' : message }
}

function methodsByPath(routes: readonly Route[]): (url: string) => string[] | null {
  const patterns = [...Map.groupBy(routes, route => route.path)].map(([path, list]) => ({
    pattern: new RegExp(`^${path.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/:[^/]+/g, '[^/]+')}$`),
    methods: list.flatMap(({ method }) => method === 'GET' ? ['GET', 'HEAD'] : [method]),
  }))
  return url => {
    const path = url.split('?', 1)[0]!
    const methods = patterns.filter(({ pattern }) => pattern.test(path)).flatMap(one => one.methods)
    return methods.length > 0 ? [...new Set(methods)] : null
  }
}

function bind(server: http.Server, { host, port, handle }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE'
      ? fault('USAGE', `port ${port} is taken: stop what listens there, or set PORT to another one`) : error))
    const done = () => resolve((server.address() as net.AddressInfo).port)
    if (handle) server.listen(handle, done)
    else server.listen(port, host, done)
  })
}

function listening(fastify: FastifyInstance, host: string, port: number, state: State): Listening {
  const { server } = fastify
  let closing: Promise<void> | undefined
  const stopAccepting = () => {
    state.draining = true
    // Not http.Server.close(): that resets idle keep-alive connections (data.md §1e).
    net.Server.prototype.close.call(server)
  }
  return {
    url: `http://${host}:${port}`, port,
    async drain(graceMs) {
      stopAccepting()
      const deadlineMs = monotonicMs() + graceMs
      while (state.inFlight > 0 && monotonicMs() < deadlineMs) await sleep(5)
      // A client that is about to use its idle connection gets its answer before it is closed.
      await sleep(Math.min(50, Math.max(0, deadlineMs - monotonicMs())))
      server.closeIdleConnections()
      while (state.inFlight > 0 && monotonicMs() < deadlineMs) await sleep(5)
    },
    close: () => closing ??= (async () => {
      if (!state.draining) stopAccepting()
      server.closeAllConnections()
      await fastify.close().catch(() => {})
    })(),
  }
}
