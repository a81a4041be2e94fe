/**
 * The ingress port on Node's HTTP server, routed by Fastify. It knows routes and bytes, no
 * intents. Fastify routes and guards; bodies and answers bypass it (docs/decisions/0005).
 */
import type { IncomingMessage } from 'node:http'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isTenfoldError } from '../../base/errors.ts'
import type { ErrorCode } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import type { HttpAnswer, Ingress, IngressHandler, ListenOptions, Mount, Route } from '../../ports/ingress.ts'
import { writeAnswer } from './answer.ts'
import { assertReadable, hasBody, parseJson, readBytes, tooLarge } from './body.ts'
import { corsOf } from './cors.ts'
import type { Cors } from './cors.ts'
import { Exchange } from './exchange.ts'
import { bind, listening } from './listener.ts'
import { createServer } from './server.ts'
import { ServerMeter } from './server-meter.ts'
import type { GuardTimes, ServerState, TrackedListener, TrackedResponse } from './server.ts'
import { inTheNextTurn } from './next-turn.ts'

const standardTimes: GuardTimes = {
  headersTimeoutMs: limits.headersTimeoutMs,
  requestTimeoutMs: limits.requestTimeoutMs,
  keepAliveTimeoutMs: limits.keepAliveTimeoutMs,
  connectionsCheckingIntervalMs: limits.connectionsCheckingIntervalMs,
}

/** The runtime validates and serialises: without these two, Fastify loads the compilers of JSON Schema at every start. */
const noSchema = () => () => { throw new Error('routes have no schema') }
const schemaController = { compilersFactory: { buildValidator: noSchema, buildSerializer: noSchema } }

export interface HttpIngressOptions { readonly log: Logger; readonly times?: GuardTimes; readonly metrics?: MetricRegistry | null }

export function openHttpIngress({ log, times = standardTimes, metrics = null }: HttpIngressOptions): Ingress {
  return {
    async listen(options) {
      const state: ServerState = { inFlight: 0, connections: 0, draining: false }
      const meter = metrics && new ServerMeter(metrics, state)
      const [roots, mounts] = [options.mounts.filter(isRoot), options.mounts.filter(mount => !isRoot(mount))]
      const routing = new Routing(options, roots[0], log)
      const fastify = routing.open(listener => createServer(inTheNextTurn(routing.recalling(listener), state), mounts, times, state, meter))
      await fastify.ready()
      const port = await bind(fastify.server, options)
      return listening(fastify, options.host, port, state)
    },
  }
}

/** Not a prefix that shadows every route. */
const isRoot = ({ prefix }: Mount): boolean => prefix === '/'

const bodyMethods = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY']

class Routing {
  readonly #handler: IngressHandler
  readonly #routes: readonly Route[]
  readonly #cors: Cors
  /** Answers what no route does. */
  readonly #root: Mount | undefined
  readonly #log: Logger
  readonly #methodsOf: (path: string) => string[] | null

  constructor({ handler, routes, corsOrigins }: ListenOptions, root: Mount | undefined, log: Logger) {
    this.#handler = handler
    this.#routes = routes
    this.#cors = corsOf(corsOrigins)
    this.#root = root
    this.#log = log
    this.#methodsOf = methodsByPath(routes)
  }

  open(server: (listener: TrackedListener) => FastifyInstance['server']): FastifyInstance {
    const fastify = Fastify({
      logger: false, schemaController, exposeHeadRoutes: false, return503OnClosing: false, requestIdHeader: false,
      // The query is parsed when a handler asks for it.
      routerOptions: { maxParamLength: 1_024, querystringParser: text => text as unknown as Record<string, string> },
      frameworkErrors: (error, request, reply) => this.#fail(error, request.raw, responseOf(reply)),
      serverFactory: listener => server(listener),
    })
    // To Fastify no method has a body: it leaves the stream alone.
    for (const method of bodyMethods) fastify.addHttpMethod(method, { hasBody: false, overrideExisting: true })
    fastify.setErrorHandler((error, request, reply) => this.#fail(error, request.raw, responseOf(reply)))
    fastify.setNotFoundHandler((request, reply) => this.#notFound(request.raw, responseOf(reply)))
    for (const route of this.#routes) {
      const names = [...route.path.matchAll(/:([^/]+)/g)].map(match => match[1]!)
      fastify.route({
        method: route.method === 'GET' ? ['GET', 'HEAD'] : route.method, url: route.path,
        handler: (request, reply) => this.#begin(route, names, request, responseOf(reply)),
      })
    }
    return fastify
  }

  /** What is at hand needs no routing. */
  recalling(listener: TrackedListener): TrackedListener {
    const handler = this.#handler
    if (!handler.recall) return listener
    return (request, response) => {
      const { method } = request
      const answer = method === 'GET' || method === 'HEAD' ? handler.recall!(request.url!, request.headers) : null
      if (answer) this.#send(request, response, answer)
      else listener(request, response)
    }
  }

  #begin(route: Route, names: readonly string[], request: FastifyRequest, response: TrackedResponse): void {
    const { raw } = request
    const parameters = request.params as Record<string, string>
    for (const name of names) if (parameters[name] === '') return this.#notFound(raw, response)
    const exchange = new Exchange(route, parameters, request.query as string, raw, response, this.#handler)
    const refusal = exchange.admit()
    if (refusal) exchange.send(refusal, this.#cors)
    else if (route.body === 'stream') {
      exchange.body = raw
      void this.#serve(exchange, response)
    } else if (route.method !== 'GET' && hasBody(raw)) this.#read(exchange, route, response)
    else void this.#serve(exchange, response)
  }

  #read(exchange: Exchange, { bodyBytesMax }: Route, response: TrackedResponse): void {
    const { raw } = exchange
    assertReadable(raw, bodyBytesMax)
    readBytes(raw, bodyBytesMax, bytes => {
      try {
        if (!bytes) throw tooLarge(bodyBytesMax)
        exchange.body = parseJson(bytes)
      } catch (error) {
        return this.#fail(error, raw, response)
      }
      void this.#serve(exchange, response)
    })
  }

  async #serve(exchange: Exchange, response: TrackedResponse): Promise<void> {
    exchange.serving()
    try {
      exchange.send(await this.#handler.handle(exchange), this.#cors)
    } catch (error) {
      this.#fail(error, exchange.raw, response)
    } finally {
      exchange.served()
    }
  }

  #notFound(raw: IncomingMessage, response: TrackedResponse): void {
    const { method = '', url = '', headers } = raw
    const allow = this.#methodsOf(url)
    const preflight = this.#cors.preflight(raw)
    if (this.#root && !(preflight && allow)) return this.#root.handle(raw, response)
    this.#send(raw, response, preflight ?? (allow
      ? this.#handler.refuse('METHOD_NOT_ALLOWED', `${method} is not answered here`, headers, allow)
      : this.#handler.refuse('NOT_FOUND', `nothing answers ${method} ${url.slice(0, 200)}`, headers)))
  }

  #fail(error: unknown, raw: IncomingMessage, response: TrackedResponse): void {
    const { code, message } = refusalOf(error)
    if (code === 'INTERNAL') this.#log.error({ err: error }, 'the ingress failed')
    if (response.headersSent) response.destroy()
    else this.#send(raw, response, this.#handler.refuse(code, message, raw.headers))
  }

  #send(raw: IncomingMessage, response: TrackedResponse, answer: HttpAnswer): void {
    writeAnswer(raw, response, answer, this.#cors.headersOf(raw))
  }
}

const responseOf = (reply: FastifyReply) => reply.raw as TrackedResponse

/** Fastify's own errors are about what came in, unless they say 5xx; anything else is a fault in the program. */
function refusalOf(error: unknown): { readonly code: ErrorCode; readonly message: string } {
  if (isTenfoldError(error)) return error
  const { statusCode, message } = error as Error & { statusCode?: number }
  return statusCode !== undefined && statusCode < 500 ? { code: 'BAD_REQUEST', message } : { code: 'INTERNAL', message: 'A fault in the program.' }
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
