/**
 * The HTTP server below the ingress: limits and time-outs that bite, mounts by prefix,
 * refusals of what is not clean HTTP, and the count of what runs. Node looks at its header
 * and request time-outs only every connectionsCheckingInterval, 30 s unless it is set
 * (reliability.md, finding 3).
 */
import type http from 'node:http'
import type { IncomingMessage, OutgoingHttpHeader } from 'node:http'
import type { Socket } from 'node:net'
import { limits } from '../../base/limits.ts'
import { nodeHttp } from '../../base/node-http.ts'
import type { Mount } from '../../ports/ingress.ts'
import type { ServerMeter } from './server-meter.ts'

export interface GuardTimes {
  readonly headersTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly keepAliveTimeoutMs: number
  readonly connectionsCheckingIntervalMs: number
}

/** What runs, mounts included, and whether the server is on its way out. */
export interface ServerState { inFlight: number; connections: number; draining: boolean }

export class TrackedResponse extends nodeHttp.ServerResponse {
  /** Who wants to know that this response was sent or lost its connection. */
  whenClosed: { closed(): void } | null = null
  startedAtMs = 0
}

export type TrackedListener = (request: IncomingMessage, response: TrackedResponse) => void

export function createServer(listener: TrackedListener, mounts: readonly Mount[], times: GuardTimes, state: ServerState, meter: ServerMeter | null = null): http.Server {
  const mountOf = mountFinder(mounts)
  // One function for all: 'close' comes once for every response, whether it was sent or the connection went away.
  function closed(this: TrackedResponse): void {
    state.inFlight--
    meter?.ended(this)
    this.whenClosed?.closed()
  }
  const server = nodeHttp.createServer({
    headersTimeout: times.headersTimeoutMs,
    requestTimeout: times.requestTimeoutMs,
    keepAliveTimeout: times.keepAliveTimeoutMs,
    connectionsCheckingInterval: times.connectionsCheckingIntervalMs,
    maxHeaderSize: limits.headerBytesMax,
    insecureHTTPParser: false,
    ServerResponse: responseClass(state),
  }, (request, response) => {
    state.inFlight++
    meter?.began(response)
    response.on('close', closed)
    const complaint = complaintAbout(request)
    if (complaint) return refuse(response, complaint)
    const mount = mountOf(request.url ?? '/')
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
  return server as http.Server
}

/** Every answer passes writeHead, also those of mounts: the one place to end keep-alive while draining. */
function responseClass(state: ServerState): typeof TrackedResponse {
  return class extends TrackedResponse {
    override writeHead(status: number, reason?: unknown, headers?: unknown): this {
      if (state.draining) this.shouldKeepAlive = false
      return super.writeHead(status, reason as string, headers as OutgoingHttpHeader[])
    }
  }
}

function complaintAbout({ httpVersionMinor, headers, rawHeaders }: IncomingMessage): string | null {
  if (httpVersionMinor === 0 && headers['transfer-encoding'] !== undefined) return 'Transfer-Encoding is not part of HTTP/1.0'
  let hosts = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (isHost(rawHeaders[at]!)) hosts++
  return hosts > 1 ? 'more than one Host header' : null
}

const isHost = (name: string): boolean => name.length === 4 && (name === 'Host' || name === 'host' || name.toLowerCase() === 'host')

function refuse(response: TrackedResponse, message: string): void {
  response.writeHead(400, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' })
  response.end(`${message}\n`)
}

function mountFinder(mounts: readonly Mount[]): (url: string) => Mount | undefined {
  if (mounts.length === 0) return () => undefined
  const longestFirst = mounts.map(mount => ({ mount, prefix: mount.prefix.replace(/\/$/, '') }))
    .sort((one, other) => other.prefix.length - one.prefix.length)
  return url => longestFirst.find(({ prefix }) => isBelow(url, prefix))?.mount
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
