/** A collector on loopback that writes down what it is sent, and refuses first as it is told. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

export interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[]
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly status: { readonly code?: number }
  /** Which process has sent it: `web.0`. */
  readonly instance: unknown
}

export interface Refusal { readonly status: number; readonly headers?: Record<string, string> }

export class OtlpServer {
  readonly requests: { readonly headers: http.IncomingHttpHeaders; readonly url: string; readonly atMs: number; readonly status: number }[] = []
  readonly spans: OtlpSpan[] = []
  resource: Record<string, unknown> = {}
  readonly refusals: Refusal[] = []
  /** True: takes everything and answers nothing. */
  isSilent = false
  readonly #server = http.createServer((request, response) => { void this.#take(request, response) })

  async start(port = 0): Promise<string> {
    await new Promise<void>(resolve => { this.#server.listen(port, '127.0.0.1', resolve) })
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): Promise<void> {
    this.#server.closeAllConnections()
    return new Promise(resolve => { this.#server.close(() => resolve()) })
  }

  async #take(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const bytes = Buffer.concat(chunks)
    const refusal = this.refusals.shift()
    this.requests.push({ headers: request.headers, url: request.url!, atMs: performance.now(), status: refusal?.status ?? 200 })
    if (this.isSilent) return
    if (refusal) { response.writeHead(refusal.status, refusal.headers).end(); return }
    if (request.headers['content-type'] === 'application/json') this.#read(request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes)
    response.writeHead(200, { 'content-type': request.headers['content-type']! }).end(request.headers['content-type'] === 'application/json' ? '{}' : '')
  }

  #read(bytes: Buffer): void {
    const { resourceSpans } = JSON.parse(bytes.toString()) as { resourceSpans: { resource: { attributes: OtlpSpan['attributes'] }; scopeSpans: { spans: OtlpSpan[] }[] }[] }
    for (const { resource, scopeSpans } of resourceSpans) {
      this.resource = attributesOf(resource.attributes)
      const instance = this.resource['service.instance.id']
      for (const { spans } of scopeSpans) this.spans.push(...spans.map(span => ({ ...span, instance })))
    }
  }
}

export const attributesOf = (list: OtlpSpan['attributes']): Record<string, unknown> => Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0]]))
