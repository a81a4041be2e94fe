/** Writes an answer with its length, past Fastify's reply: the headers go out as they are, in one piece with the body. */
import type { IncomingMessage } from 'node:http'
import type { HttpAnswer } from '../../ports/ingress.ts'
import type { TrackedResponse } from './server.ts'

/** `more`: names and values in turn, besides the answer's own. */
export function writeAnswer(request: IncomingMessage, response: TrackedResponse, { status, headers, body }: HttpAnswer, more: readonly string[]): void {
  // The client has gone.
  if (response.destroyed) return
  const isEmpty = status === 204 || status === 304
  const list: (string | string[])[] = isEmpty ? [] : ['content-length', body === null ? '0' : String(Buffer.byteLength(body))]
  for (const name in headers) if (!isEmpty || !isAboutBody(name)) list.push(name, headers[name]!)
  for (let at = 0; at < more.length; at++) list.push(more[at]!)
  response.writeHead(status, list)
  if (isEmpty || body === null || request.method === 'HEAD') response.end()
  else response.end(body)
}

const isAboutBody = (name: string): boolean => /^content-(type|length)$/i.test(name)
