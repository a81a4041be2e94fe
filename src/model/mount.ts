/**
 * Existing applications that are served whole below a prefix, so that adopting Tenfold
 * needs no rewrite: a Node handler (Express is one), a Fastify instance, or anything with
 * a `fetch` method (Hono). They see the full path, as before.
 */
import { Readable } from 'node:stream'
import type { IncomingMessage, ServerResponse } from 'node:http'

export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => void
export interface FetchApplication { fetch(request: Request): Response | Promise<Response> }
export interface FastifyLike { ready(): PromiseLike<unknown>; routing(request: IncomingMessage, response: ServerResponse): void }
export type Mountable = NodeHandler | FetchApplication | FastifyLike

/** Turns any mountable application into a Node handler. */
export async function nodeHandlerOf(application: Mountable): Promise<NodeHandler> {
  if ('routing' in application && 'ready' in application) {
    await application.ready()
    return (request, response) => application.routing(request, response)
  }
  if ('fetch' in application) return (request, response) => { void answerByFetch(application, request, response) }
  return application
}

async function answerByFetch(application: FetchApplication, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const answer = await application.fetch(toFetchRequest(request))
    const cookies = answer.headers.getSetCookie()
    for (const [name, value] of answer.headers) if (name !== 'set-cookie') response.setHeader(name, value)
    if (cookies.length > 0) response.setHeader('set-cookie', cookies)
    response.writeHead(answer.status)
    if (!answer.body) return void response.end()
    Readable.fromWeb(answer.body).on('error', () => response.destroy()).pipe(response)
  } catch {
    if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain' })
    response.end()
  }
}

function toFetchRequest(request: IncomingMessage): Request {
  const headers = new Headers()
  for (const [name, value] of Object.entries(request.headers)) {
    for (const one of Array.isArray(value) ? value : [value ?? '']) headers.append(name, one)
  }
  const hasBody = request.method !== 'GET' && request.method !== 'HEAD'
  return new Request(new URL(request.url ?? '/', `http://${request.headers.host ?? 'localhost'}`), {
    method: request.method ?? 'GET',
    headers,
    ...(hasBody ? { body: Readable.toWeb(request) as ReadableStream<Uint8Array>, duplex: 'half' as const } : {}),
  })
}
