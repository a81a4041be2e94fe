/** One contender of the ingress bench, chosen by CONTENDER: the same two routes, answering the same JSON text. Says its port, then its CPU time when asked. */
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { z } from 'zod'
import { silentLogger } from '../src/base/log.ts'
import { openHttpIngress } from '../src/drivers/http/ingress.ts'
import { application, service } from '../src/index.ts'
import type { IngressHandler, Route } from '../src/ports/ingress.ts'
import { Dispatcher } from '../src/runtime/dispatcher.ts'
import type { DispatcherOptions } from '../src/runtime/dispatcher.ts'
import { Limiter } from '../src/runtime/limiter.ts'
import { createRouter } from '../src/runtime/router.ts'
import { Statistics } from '../src/runtime/statistics.ts'
import { routesOf } from '../src/runtime/target.ts'
import { Tracer } from '../src/runtime/tracer.ts'

const value = { thing: { id: '1', text: 'x'.repeat(200), tags: ['one', 'two'] } }
const text = JSON.stringify(value)
const type = 'application/json; charset=utf-8'
const contender = process.env.CONTENDER ?? 'fastify'

async function fastify(asynchronous: boolean): Promise<{ url: string; close(): PromiseLike<unknown> }> {
  const server = Fastify({ logger: false })
  if (asynchronous) {
    server.get('/things/:id', async (_request, reply) => { reply.header('content-type', type); return text })
    server.post('/things', async (_request, reply) => { reply.header('content-type', type); return text })
  } else {
    server.get('/things/:id', (_request, reply) => { reply.header('content-type', type).send(text) })
    server.post('/things', (_request, reply) => { reply.header('content-type', type).send(text) })
  }
  await server.listen({ port: 0, host: '127.0.0.1' })
  return { url: `http://127.0.0.1:${(server.server.address() as AddressInfo).port}`, close: () => server.close() }
}

const routes: readonly Route[] = [
  { method: 'GET', path: '/things/:id', name: 'get', bodyBytesMax: 1_000_000 },
  { method: 'POST', path: '/things', name: 'post', bodyBytesMax: 1_000_000 },
]
const admission = { refusal: null }
const headers = { 'content-type': type }
const constant: IngressHandler = {
  admit: () => admission, ended: () => {},
  handle: async () => ({ status: 200, headers, body: text }),
  refuse: code => ({ status: 400, headers, body: code }),
}

/** The whole of the runtime, with intents that touch no database. */
function runtime(): { handler: IngressHandler; routes: readonly Route[] } {
  const things = service('things')
  const Thing = z.object({ thing: z.object({ id: z.string(), text: z.string(), tags: z.array(z.string()) }) })
  const key = () => '1'
  const get = things.query({ http: 'GET /things/:id', key, input: z.object({ id: z.string() }), output: Thing, run: async () => value })
  const put = things.command({ http: 'POST /things', key, input: z.object({ name: z.string(), tags: z.array(z.string()) }), output: Thing, run: async () => value })
  const app = application('bench', { services: { things: { things, get, put } } })
  const tracer = new Tracer()
  const dispatcher = new Dispatcher({ app, log: silentLogger, tracer, statistics: new Statistics() } as unknown as DispatcherOptions)
  const handler = createRouter({ app, dispatcher, tracer, limiter: new Limiter({ enabled: false }), log: silentLogger, pages: new Map(), isDraining: () => false })
  return { handler, routes: routesOf(app) }
}

async function tenfold(served: { handler: IngressHandler; routes: readonly Route[] }): Promise<{ url: string; close(): PromiseLike<unknown> }> {
  return openHttpIngress({ log: silentLogger }).listen({ host: '127.0.0.1', port: 0, mounts: [], corsOrigins: [], ...served })
}

const server = contender === 'ingress' ? await tenfold({ handler: constant, routes })
  : contender === 'runtime' ? await tenfold(runtime())
    : await fastify(contender === 'fastify async')
process.on('message', () => process.send!(process.cpuUsage()))
process.once('SIGTERM', () => { void Promise.resolve(server.close()).then(() => process.exit()) })
process.send!(Number(new URL(server.url).port))
