/** A real Varnish in front of a real origin, for tests. Starting one takes seconds, so subjects share it and keep to paths of their own. */
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import { randomHex } from '../../src/base/random.ts'
import { sleep } from '../../src/base/time.ts'
import { ask } from '../../src/conformance/cdn.ts'
import type { CdnSubject, OriginAnswer, OriginRequest } from '../../src/conformance/cdn.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { openVarnishCdn } from '../../src/drivers/varnish/cdn.ts'
import { startVarnishServer } from '../../src/drivers/varnish/server.ts'
import type { VarnishServer } from '../../src/drivers/varnish/server.ts'
import { renderVcl } from '../../src/drivers/varnish/vcl.ts'
import type { VclOptions } from '../../src/drivers/varnish/vcl.ts'
import type { Cdn } from '../../src/ports/cdn.ts'
import { freePort } from './free-port.ts'

type How = (request: OriginRequest, count: number) => OriginAnswer

export interface ScratchVarnish {
  readonly url: string
  readonly secret: string
  readonly server: VarnishServer
  readonly origin: CdnSubject['origin']
  close(): Promise<void>
}

/** Answers by path; counts. */
async function startOrigin(): Promise<CdnSubject['origin'] & { readonly port: number; close(): void }> {
  const ways = new Map<string, How>()
  const counts = new Map<string, number>()
  const server = http.createServer((request, response) => {
    if (request.url === '/health') return void response.end('well')
    const at = request.url!
    const count = (counts.get(at) ?? 0) + 1
    counts.set(at, count)
    const { status = 200, headers = {}, body = '1', delayMs = 0 } = ways.get(at)?.({ method: request.method!, headers: request.headers }, count) ?? { status: 404 }
    void sleep(delayMs).then(() => {
      const all: Record<string, string | string[]> = { 'cdn-cache-control': 'max-age=60', etag: `"${count}"`, 'content-length': String(Buffer.byteLength(body)), ...headers }
      for (const name of Object.keys(all)) if (all[name] === '') delete all[name]
      response.writeHead(status, all)
      response.end(request.method === 'HEAD' ? undefined : body)
    })
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const close = () => { server.closeAllConnections(); server.close() }
  return {
    port: (server.address() as AddressInfo).port, close,
    answers: (at, how) => { ways.set(at, how) },
    asked: at => counts.get(at) ?? 0,
    async stop() { close(); await sleep(100) },
  }
}

export async function scratchVarnish(options: Partial<VclOptions> = {}, change = (vcl: string): string => vcl): Promise<ScratchVarnish> {
  const closers = new Closers()
  try {
    const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-varnish-'))
    closers.add(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }))
    await chmod(dataFolder, 0o755)
    const origin = await startOrigin()
    closers.add(() => origin.close())
    const secret = randomHex(16)
    const vcl = change(renderVcl({ origin: { host: '127.0.0.1', port: origin.port }, secret, corsOrigins: ['*'], ...options }))
    const server = await startVarnishServer({ vcl, dataFolder, port: await freePort(), storageBytesMax: 64 * 1024 * 1024, log: silentLogger })
    closers.add(() => server.stop())
    return { url: server.url, secret, server, origin, close: () => closers.close() }
  } catch (error) {
    await closers.close()
    throw error
  }
}

/** The driver over one shared Varnish; what a check ends gets a Varnish of its own. */
export function varnishDriver(shared: () => Promise<ScratchVarnish>, name = 'varnish', wrap = (cdn: Cdn): Cdn => cdn): Driver<CdnSubject> & { openAlone: Driver<CdnSubject>['open'] } {
  const subjectOf = async ({ url, secret, origin, server }: ScratchVarnish): Promise<{ subject: CdnSubject; cdn: Cdn }> => {
    const cdn = wrap(openVarnishCdn({ url, secret }))
    await cdn.open()
    const prefix = `/${randomHex(6)}`
    const scoped = { answers: (at: string, how: How) => origin.answers(prefix + at, how), asked: (at: string) => origin.asked(prefix + at), stop: origin.stop }
    return { cdn, subject: { cdn, url: url + prefix, origin: scoped, stop: () => server.stop() } }
  }
  return {
    name,
    async open() {
      const { subject, cdn } = await subjectOf(await shared())
      return { subject, close: () => cdn.close() }
    },
    async openAlone() {
      const varnish = await scratchVarnish()
      const { subject, cdn } = await subjectOf(varnish)
      return { subject, close: async () => { await cdn.close(); await varnish.close() } }
    },
  }
}

export { ask }
