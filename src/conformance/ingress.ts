/** What every ingress driver must do, seen from raw sockets and ordinary clients. */
import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { after, monotonicMs, sleep } from '../base/time.ts'
import type { Admission, HttpAnswer, HttpRequest, Ingress, IngressHandler, Listening, ListenOptions } from '../ports/ingress.ts'
import { suite } from './check.ts'
import { mountChecks } from './mounts.ts'

/** The ingress under test lets slow headers live for at most headersTimeoutMs. */
export interface IngressSubject { readonly ingress: Ingress; readonly headersTimeoutMs: number }

const plain = (status: number, body: string): HttpAnswer => ({ status, headers: { 'content-type': 'text/plain' }, body })

export interface Served { readonly listening: Listening; readonly seen: HttpRequest[]; readonly counts: { admitted: number; ended: number } }

async function serve(ingress: Ingress, more: Partial<IngressHandler> = {}, options: Partial<ListenOptions> = {}): Promise<Served> {
  const seen: HttpRequest[] = []
  const counts = { admitted: 0, ended: 0 }
  const handler: IngressHandler = {
    admit: () => { counts.admitted++; return { refusal: null } },
    ended: () => { counts.ended++ },
    handle: async request => { seen.push(request); return plain(200, 'fine') },
    refuse: (code, message, _headers, allow) => ({ ...plain(code === 'NOT_FOUND' ? 404 : code === 'METHOD_NOT_ALLOWED' ? 405 : code === 'PAYLOAD_TOO_LARGE' ? 413 : code === 'UNSUPPORTED_MEDIA_TYPE' ? 415 : 400, `${code} ${message}`), ...(allow ? { headers: { allow: allow.join(', ') } } : {}) }),
    ...more,
  }
  const routes = [{ method: 'GET', path: '/things/:id', name: 'get', bodyBytesMax: 1_000 }, { method: 'POST', path: '/things', name: 'post', bodyBytesMax: 1_000 }] as const
  return { seen, counts, listening: await ingress.listen({ host: '127.0.0.1', port: 0, routes, mounts: [], corsOrigins: ['*'], handler, ...options }) }
}

/** On a machine that is busy with other things; keeps no process alive. */
const patienceMs = 3_000
const patience = (): Promise<void> => new Promise(resolve => { after(patienceMs, resolve, true) })
/** Resolves when it is so, or when it will not be. */
const until = async (isSo: () => boolean): Promise<void> => { for (const endMs = monotonicMs() + patienceMs; !isSo() && monotonicMs() < endMs;) await sleep(5) }
/** Sends bytes, and gives all that comes back until the other side closes, or it leaves: after a while, unless told when. */
function raw(port: number, text: string | Buffer, leave: Promise<unknown> = patience()): Promise<string> {
  return new Promise(resolve => {
    let answer = ''
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text))
    socket.on('data', data => { answer += data.toString('latin1') })
    socket.on('error', () => resolve(answer)).on('close', () => resolve(answer))
    void leave.then(() => { socket.destroy(); resolve(answer) })
  })
}

const aborted = (signal: AbortSignal) => new Promise<void>(resolve => { if (signal.aborted) resolve(); else signal.addEventListener('abort', () => resolve()) })
const post = (url: string, body: string, type = 'application/json') => fetch(`${url}/things`, { method: 'POST', body, headers: { 'content-type': type } })
const host = 'Host: x\r\n'
const smuggling: readonly string[] = [
  `POST /things HTTP/1.1\r\n${host}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  `POST /things HTTP/1.1\r\n${host}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  `POST /things HTTP/1.1\r\n${host}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x`,
  `POST /things HTTP/1.1\r\n${host}Content-Length: +3\r\n\r\n{} `,
  `POST /things HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  `GET /things/1 HTTP/1.1\r\n${host}Host: y\r\n\r\n`,
  'GET /things/1 HTTP/1.1\r\n\r\n',
  `GET /things/1 HTTP/1.1\r\n${host}A: b\r\n folded\r\n\r\n`,
  `GET /things/1 HTTP/1.1\r\n${host}A: ${'x'.repeat(33_000)}\r\n\r\n`,
]

export const ingressSuite = suite<IngressSubject>('ingress', {
  'a request arrives with parameters, query and body': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    assert.equal(await (await fetch(`${listening.url}/things/a%20b?x=1&y=2&y=3&__proto__=4`)).text(), 'fine')
    await post(listening.url, '{"n":1}')
    assert.deepEqual([seen[0]!.route, seen[0]!.parameters.id, seen[0]!.query.x, seen[0]!.query.y], ['get', 'a b', '1', ['2', '3']])
    assert.deepEqual([seen[1]!.body, ({} as { 4?: unknown })[4]], [{ n: 1 }, undefined])
    assert.deepEqual(seen.map(({ method, path }) => `${method} ${path}`), ['GET /things/a%20b', 'POST /things'])
    await listening.close()
  },
  'a path parameter is never empty': async ({ ingress }) => {
    const { listening, seen, counts } = await serve(ingress)
    assert.equal((await fetch(`${listening.url}/things/`)).status, 404)
    assert.deepEqual([seen.length, counts.admitted], [0, 0])
    await listening.close()
  },
  'a body in pieces is one, and one that is not UTF-8 never reaches the handler': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    const head = `POST /things HTTP/1.1\r\n${host}Connection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n`
    assert.match(await raw(listening.port, Buffer.from(`${head}2\r\n"\xc3\r\n2\r\n\xa4"\r\n0\r\n\r\n`, 'latin1')), /^HTTP\/1\.1 200/)
    assert.match(await raw(listening.port, Buffer.from(`${head}2\r\n"\xc3\r\n1\r\n"\r\n0\r\n\r\n`, 'latin1')), /^HTTP\/1\.1 400/)
    assert.match(await raw(listening.port, `${head}5dc\r\n"${'x'.repeat(1_499)}\r\n5dc\r\n${'x'.repeat(1_499)}"\r\n0\r\n\r\n`), /^HTTP\/1\.1 413/)
    assert.deepEqual(seen.map(one => one.body), ['ä'])
    await listening.close()
  },
  'an empty body with a JSON content type is no body': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    assert.equal((await post(listening.url, '')).status, 200)
    assert.equal(seen[0]!.body, undefined)
    await listening.close()
  },
  'bodies that are not acceptable never reach the handler': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    const statuses = [
      await post(listening.url, '{"a":'), await post(listening.url, '{"__proto__":{}}'), await post(listening.url, `${'['.repeat(100)}${']'.repeat(100)}`),
      await post(listening.url, JSON.stringify('x'.repeat(2_000))), await post(listening.url, 'a=1', 'text/plain'),
    ].map(answer => answer.status)
    assert.deepEqual([statuses, seen.length], [[400, 400, 400, 413, 415], 0])
    await listening.close()
  },
  'HEAD is GET without the body': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    const answer = await raw(listening.port, `HEAD /things/1 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
    assert.match(answer, /^HTTP\/1\.1 200 [^]*\r\ncontent-length: 4\r\n/i)
    assert.ok(answer.endsWith('\r\n\r\n'), answer)
    assert.equal(seen[0]!.method, 'HEAD')
    await listening.close()
  },
  '204 and 304 have neither body nor content-type': async ({ ingress }) => {
    let status = 204
    const { listening } = await serve(ingress, { handle: async () => plain(status, 'a body') })
    for (status of [204, 304]) {
      const answer = await raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`)
      assert.ok(answer.startsWith(`HTTP/1.1 ${status} `) && answer.endsWith('\r\n\r\n'), answer)
      assert.doesNotMatch(answer, /content-(type|length)|transfer-encoding/i)
    }
    await listening.close()
  },
  'a route of streams gets its body unread, whatever its type, and breaks when its sender goes': async ({ ingress }) => {
    const outcomes: string[] = []
    const begun = Promise.withResolvers<void>()
    const routes = [{ method: 'PUT', path: '/files/:id', name: 'file', bodyBytesMax: 10_000_000, body: 'stream' }, { method: 'POST', path: '/things', name: 'post', bodyBytesMax: 1_000 }] as const
    const { listening, seen } = await serve(ingress, { handle: async request => {
      let bytes = 0
      if (request.parameters.id === 'gone') begun.resolve()
      try {
        for await (const chunk of request.body as AsyncIterable<Uint8Array>) bytes += chunk.length
        outcomes.push(`${request.parameters.id} ${bytes}`)
      } catch { outcomes.push(`${request.parameters.id} broke`) }
      return plain(200, String(bytes))
    } }, { routes })
    const put = (id: string, body: string | Uint8Array, type?: string) => fetch(`${listening.url}/files/${id}`, { method: 'PUT', body, ...(type ? { headers: { 'content-type': type } } : {}) })
    assert.equal(await (await put('large', new Uint8Array(3_000_000), 'image/png')).text(), '3000000')
    await put('json', '{"not json', 'application/json')
    await put('odd', new Uint8Array(5), 'x/y')
    await put('untyped', new Uint8Array(6))
    await raw(listening.port, `PUT /files/gone HTTP/1.1\r\n${host}Content-Type: image/png\r\nContent-Length: 100\r\n\r\nhalf`, Promise.race([begun.promise, patience()]))
    await until(() => outcomes.length === 5)
    assert.deepEqual([outcomes, (await post(listening.url, 'x', 'image/png')).status, seen.length], [['large 3000000', 'json 10', 'odd 5', 'untyped 6', 'gone broke'], 415, 0])
    await listening.close()
  },
  'unknown paths and methods are told apart': async ({ ingress }) => {
    const { listening } = await serve(ingress)
    assert.equal((await fetch(`${listening.url}/nothing`)).status, 404)
    const refused = await fetch(`${listening.url}/things/1`, { method: 'DELETE' })
    assert.deepEqual([refused.status, refused.headers.get('allow')], [405, 'GET, HEAD'])
    await listening.close()
  },
  'a refusal by admit is sent before the body, and each admitted request ends once': async ({ ingress }) => {
    let refuse = true
    const counts = { ended: 0 }
    const { listening, seen } = await serve(ingress, { admit: () => ({ refusal: refuse ? plain(503, 'later') : null }), ended: () => { counts.ended++ } })
    assert.equal((await post(listening.url, '{}')).status, 503)
    refuse = false
    assert.equal((await post(listening.url, '{}')).status, 200)
    assert.equal((await post(listening.url, '{')).status, 400)
    await until(() => counts.ended === 2)
    assert.deepEqual([counts.ended, seen.length], [2, 1])
    await listening.close()
  },
  'each request ends with the admission it was given': async ({ ingress }) => {
    const ended: unknown[] = []
    const slow = Promise.withResolvers<HttpAnswer>()
    const { listening } = await serve(ingress, {
      admit: ({ parameters }) => Object.assign({ refusal: null }, { id: parameters.id }),
      handle: async ({ parameters }) => parameters.id === 'slow' ? slow.promise : plain(200, 'fine'),
      ended: admission => { ended.push((admission as Admission & { id: unknown }).id) },
    })
    const first = fetch(`${listening.url}/things/slow`)
    await fetch(`${listening.url}/things/quick`)
    slow.resolve(plain(200, 'fine'))
    await first
    await until(() => ended.length === 2)
    assert.deepEqual(ended, ['quick', 'slow'])
    await listening.close()
  },
  'requests whose client leaves end once, while the body comes and when they wait in line': async ({ ingress }) => {
    const { listening, counts, seen } = await serve(ingress, { handle: async request => { await aborted(request.signal); return plain(200, 'late') } })
    await raw(listening.port, `POST /things HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"a":`, until(() => counts.admitted === 1))
    await raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}\r\nGET /things/2 HTTP/1.1\r\n${host}\r\n`, until(() => counts.admitted === 3))
    await until(() => counts.ended === 3)
    assert.deepEqual([counts.admitted, counts.ended, seen.length], [3, 3, 0])
    await listening.close()
  },
  'what still runs for a client that has gone has not ended': async ({ ingress }) => {
    const [begun, gone, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const { listening, counts } = await serve(ingress, { handle: async request => { begun.resolve(); await aborted(request.signal); gone.resolve(); await released.promise; return plain(200, 'late') } })
    const client = raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}\r\n`, begun.promise)
    await Promise.all([client, gone.promise])
    await sleep(100)
    assert.equal(counts.ended, 0)
    released.resolve()
    await until(() => counts.ended === 1)
    assert.equal(counts.ended, 1)
    await listening.close()
  },
  'the signal is one, and aborts when the client leaves, also for who looks later': async ({ ingress }) => {
    for (const looks of ['early', 'late']) {
      const [begun, left, signals] = [Promise.withResolvers<void>(), Promise.withResolvers<void>(), Promise.withResolvers<AbortSignal[]>()]
      const { listening } = await serve(ingress, {
        handle: async request => {
          const early = looks === 'early' ? [request.signal, request.signal] : []
          begun.resolve()
          await left.promise
          signals.resolve([...early, request.signal])
          return plain(200, 'late')
        },
      })
      await raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}\r\n`, begun.promise)
      await sleep(50)
      left.resolve()
      const all = await signals.promise
      await Promise.race([Promise.all(all.map(aborted)), patience()])
      assert.ok(all.every(one => one === all[0] && one.aborted), looks)
      await listening.close()
    }
  },
  'preflights are answered and origins allowed': async ({ ingress }) => {
    const { listening } = await serve(ingress)
    const preflight = await fetch(`${listening.url}/things`, { method: 'OPTIONS', headers: { origin: 'http://elsewhere', 'access-control-request-method': 'POST' } })
    assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-origin')], [204, '*'])
    assert.equal((await fetch(`${listening.url}/nothing`)).headers.get('access-control-allow-origin'), '*')
    await listening.close()
  },
  'requests that proxies could read in two ways are refused': async ({ ingress }) => {
    const { listening, seen } = await serve(ingress)
    for (const text of smuggling) assert.doesNotMatch(await raw(listening.port, text), /^HTTP\/1\.1 2/, text.slice(0, 120))
    assert.equal(seen.length, 0)
    assert.match(await raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}Connection: close\r\n\r\n`), /^HTTP\/1\.1 200/, 'the control')
    await listening.close()
  },
  'slow headers are cut off': async ({ ingress, headersTimeoutMs }) => {
    const { listening } = await serve(ingress)
    const answer = await raw(listening.port, `GET /things/1 HTTP/1.1\r\n${host}`, sleep(headersTimeoutMs + patienceMs))
    assert.match(answer, /^HTTP\/1\.1 408/)
    await listening.close()
  },
  ...mountChecks(serve),
  'drain waits for mounted requests too': async ({ ingress }) => {
    const begun = Promise.withResolvers<void>()
    const { listening } = await serve(ingress, {}, { mounts: [{ prefix: '/old', handle: (_request, response) => { begun.resolve(); void sleep(150).then(() => response.end('fine')) } }] })
    const running = fetch(`${listening.url}/old`)
    await begun.promise
    await listening.drain(patienceMs)
    const answer = await running
    assert.deepEqual([await answer.text(), answer.headers.get('connection')], ['fine', 'close'])
    await listening.close()
  },
  'drain cuts what still runs when its grace is over': async ({ ingress }) => {
    const begun = Promise.withResolvers<void>()
    const { listening } = await serve(ingress, { handle: async request => { begun.resolve(); await aborted(request.signal); return plain(200, 'late') } })
    const running = fetch(`${listening.url}/things/1`).then(() => 'answered', () => 'cut')
    await begun.promise
    await listening.drain(100)
    assert.equal(await Promise.race([running, patience().then(() => 'still open')]), 'cut')
    await listening.close()
  },
  'while it drains, an idle connection is answered once more and then closed': async ({ ingress }) => {
    const { listening } = await serve(ingress)
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
    const get = () => new Promise<string | undefined>((resolve, reject) => {
      http.get(`${listening.url}/things/1`, { agent }, response => { response.resume(); response.on('end', () => resolve(`${response.statusCode} ${response.headers.connection}`)) }).on('error', reject)
    })
    assert.equal(await get(), '200 keep-alive')
    let drained = false
    const draining = listening.drain(5_000, 5_000).then(() => { drained = true })
    await sleep(200)
    assert.ok(!drained, 'it waits for the idle connection')
    assert.equal(await get(), '200 close')
    await draining
    agent.destroy()
    await listening.close()
  },
  'drain finishes what runs and resets nobody': async ({ ingress }) => {
    const { listening, counts } = await serve(ingress, { handle: async () => { await sleep(100); return plain(200, 'fine') } })
    const agent = new http.Agent({ keepAlive: true })
    const get = () => new Promise<{ status: number; connection: string | undefined }>((resolve, reject) => {
      http.get(`${listening.url}/things/1`, { agent }, response => { response.resume(); resolve({ status: response.statusCode!, connection: response.headers.connection }) }).on('error', reject)
    })
    const running = [get(), get(), get()]
    while (counts.admitted < running.length) await sleep(5)
    await listening.drain(patienceMs)
    assert.deepEqual(await Promise.all(running), Array.from({ length: 3 }, () => ({ status: 200, connection: 'close' })))
    await assert.rejects(get(), 'nobody listens any more')
    agent.destroy()
    await listening.close()
  },
})
