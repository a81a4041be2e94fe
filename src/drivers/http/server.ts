/**
 * The HTTP server below the ingress: limits and time-outs that bite, mounts by prefix, and
 * refusals of what is not clean HTTP. Node looks at its header and request time-outs only
 * every connectionsCheckingInterval, 30 s unless it is set (reliability.md, finding 3).
 */
import http from 'node:http'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { limits } from '../../base/limits.ts'
import type { Mount } from '../../ports/ingress.ts'

export interface GuardTimes {
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly connectionsCheckingIntervalMs: number
}

/** What the server tells of itself, and is told: while it drains, every answer is the last of its connection. */
export interface ServerState { inFlight: number; connections: number; readonly draining: boolean }

export function createServer(listener: RequestListener, mounts: readonly Mount[], times: GuardTimes, state: ServerState): http.Server {
  const server = http.createServer({
    headersTimeout: times.headersTimeoutMs,
    requestTimeout: times.requestTimeoutMs,
    keepAliveTimeout: times.keepAliveTimeoutMs,
    connectionsCheckingInterval: times.connectionsCheckingIntervalMs,
    maxHeaderSize: limits.headerBytesMax,
    insecureHTTPParser: false,
  }, (request, response) => {
    state.inFlight++
    response.once('close', () => { state.inFlight-- })
    if (state.draining) response.setHeader('connection', 'close')
    const complaint = complaintAbout(request)
    if (complaint) return refuse(response, complaint)
    const mount = mounts.length > 0 ? mounts.find(one => isBelow(request.url ?? '/', one.prefix)) : undefined
    if (mount) mount.handle(request, response)
    else listener(request, response)
  })
  server.maxHeadersCount = limits.headersMax
  server.maxConnections = limits.connectionsMax
  server.on('connection', connection => {
    state.connections++
    connection.once('close', () => { state.connections-- })
  })
  server.on('clientError', answerClientError)
  return server
}

function complaintAbout(request: IncomingMessage): string | null {
  if (request.httpVersion === '1.0' && request.headers['transfer-encoding'] !== undefined) return 'Transfer-Encoding is not part of HTTP/1.0'
  let hosts = 0
  for (let at = 0; at < request.rawHeaders.length; at += 2) if (request.rawHeaders[at]!.length === 4 && request.rawHeaders[at]!.toLowerCase() === 'host') hosts++
  return hosts > 1 ? 'more than one Host header' : null
}

function refuse(response: ServerResponse, message: string): void {
  response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
  response.end(`${message}\n`)
}

function isBelow(url: string, prefix: string): boolean {
  if (!url.startsWith(prefix)) return false
  const next = url[prefix.length]
  return next === undefined || next === '/' || next === '?'
}

const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
}

function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  socket.end(`HTTP/1.1 ${statuses[error.code ?? ''] ?? '400 Bad Request'}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
