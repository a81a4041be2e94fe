/** The configuration of HAProxy as text: pure, compared with a reviewed file by a test. */
import { limits } from '../../base/limits.ts'
import type { Node } from '../../ports/balancer.ts'

export interface HaproxyConfiguration {
  /** Where it is commanded at run time. */
  readonly commandSocket: string
  /** Paths below these are not Tenfold's: what is sent there is not made repeatable. */
  readonly foreignPrefixes: readonly string[]
  readonly nodes: readonly Node[]
  /** In each node at the same time; what is more waits here. */
  readonly nodeRequestsMax: number
  /** So long may a request wait for a node. */
  readonly queueMs: number
  readonly checkMs: number
  readonly slowStartMs: number
  /** Connections in a row that a node refuses before it gets no more requests until a check finds it well. */
  readonly refusalsMax: number
  readonly threads: number
}

export const backend = 'nodes'
export const frontend = 'clients'

/** Larger requests are not repeated, since they are not kept. */
const keptBytesMax = 32_768

/** What the runtime's own refusals look like (RFC 9457). */
const refusals: readonly (readonly [status: number, title: string, retryAfter: boolean])[] = [
  [400, 'The request is malformed.', false],
  [408, 'The request took too long to arrive.', false],
  [502, 'No node gave an answer.', true],
  [503, 'No node has room for the request.', true],
  [504, 'The node took too long to answer.', true],
]

/** A node's event loop is one thread, whatever it may use besides. */
const weightOf = (share: number): number => Math.max(1, Math.round(100 * Math.min(1, share)))

/** `web-0-4711 127.0.0.1:7001 check …`, for the file and for `add server` alike: what is added at run time inherits nothing. */
export const serverOf = ({ name, host, port, share = 1 }: Node, { checkMs, slowStartMs, nodeRequestsMax, refusalsMax }: Pick<HaproxyConfiguration, 'checkMs' | 'slowStartMs' | 'nodeRequestsMax' | 'refusalsMax'>): string =>
  `${name} ${host}:${port} weight ${weightOf(share)} check inter ${checkMs}ms fall 2 rise 1 slowstart ${slowStartMs}ms maxconn ${Math.ceil(nodeRequestsMax * Math.min(1, share))} observe layer4 error-limit ${refusalsMax} on-error mark-down`

export function renderConfiguration(options: HaproxyConfiguration): string {
  const { commandSocket, foreignPrefixes, nodes, queueMs, threads } = options
  const foreign = foreignPrefixes.length > 0 ? ` !{ path_beg ${foreignPrefixes.map(one => `${one}/`).join(' ')} } !{ path ${foreignPrefixes.join(' ')} }` : ''
  return `global
  stats socket ${commandSocket} mode 600 level admin
  hard-stop-after ${limits.drainMs}ms
  fd-hard-limit 65536
  nbthread ${threads}
  tune.bufsize ${keptBytesMax + limits.headerBytesMax}
  tune.http.maxhdr ${limits.headersMax + 20}

defaults
  mode http
  timeout connect 1s
  timeout check 1s
  timeout client ${limits.keepAliveTimeoutMs}ms
  timeout http-request ${limits.headersTimeoutMs}ms
  timeout http-keep-alive ${limits.keepAliveTimeoutMs}ms
  # Longer than any call of the application: the node itself gives up first, and says so.
  timeout server ${limits.requestTimeoutMs + 5_000}ms
  timeout queue ${queueMs}ms
  option idle-close-on-response
  option redispatch 1
  retries 3
${refusals.map(([status, title, retryAfter]) => `  http-error status ${status} content-type application/problem+json string '${JSON.stringify({ type: 'about:blank', title, status })}'${retryAfter ? ' hdr Retry-After 1' : ''}`).join('\n')}

frontend ${frontend}
  bind fd@3
  # Node has no business with what it would refuse.
  http-request deny deny_status 400 if { req.hdr_cnt(host) gt 1 }
  option forwardfor
  http-request set-header X-Request-Id %[uuid()] unless { req.hdr(X-Request-Id) -m found }
  # A command under a key takes effect once, so another node may be asked again.
  http-request set-header Idempotency-Key %[uuid()] if { method POST PUT PATCH DELETE } !{ req.hdr(Idempotency-Key) -m found }${foreign}
  default_backend ${backend}

backend ${backend}
  balance leastconn
  option http-buffer-request
  option httpchk GET /health
  http-reuse safe
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless { method GET HEAD OPTIONS } or { req.hdr(Idempotency-Key) -m found }${nodes.map(node => `\n  server ${serverOf(node, options)}`).join('')}
`
}
