/** What an ingress gives to existing applications that are mounted: a part of its suite. */
import assert from 'node:assert/strict'
import type http from 'node:http'
import { text } from 'node:stream/consumers'
import type { Ingress, IngressHandler, ListenOptions } from '../ports/ingress.ts'
import type { IngressSubject, Served } from './ingress.ts'

type Serve = (ingress: Ingress, more?: Partial<IngressHandler>, options?: Partial<ListenOptions>) => Promise<Served>

const named = (prefix: string) => ({ prefix, handle: (_: http.IncomingMessage, response: http.ServerResponse) => { response.end(prefix) } })

export const mountChecks = (serve: Serve) => ({
  'a mount gets everything below its prefix and nothing else': async ({ ingress }: IngressSubject) => {
    const { listening } = await serve(ingress, {}, { mounts: [{ prefix: '/old', handle: (request, response) => { response.end(`old ${request.url}`) } }] })
    assert.equal(await (await fetch(`${listening.url}/old/page?x=1`)).text(), 'old /old/page?x=1')
    assert.equal((await fetch(`${listening.url}/older`)).status, 404)
    await listening.close()
  },
  'of several mounts the longest prefix wins': async ({ ingress }: IngressSubject) => {
    const { listening } = await serve(ingress, {}, { mounts: ['/old', '/old/new', '/old/new/est'].map(named) })
    const texts = ['/old/x', '/old/newer', '/old/new', '/old/new/x', '/old/new/est?x'].map(async path => (await fetch(listening.url + path)).text())
    assert.deepEqual(await Promise.all(texts), ['/old', '/old', '/old/new', '/old/new', '/old/new/est'])
    await listening.close()
  },
  'a mount at / gets what nothing else answers, with its body': async ({ ingress }: IngressSubject) => {
    const root = { prefix: '/', handle: (request: http.IncomingMessage, response: http.ServerResponse) => { void text(request).then(body => { response.end(`${request.method} ${request.url} ${body}`) }) } }
    const { listening, seen } = await serve(ingress, {}, { mounts: [root, named('/old')], corsOrigins: [] })
    const ask = async (method: string, path: string, body?: string) => (await fetch(listening.url + path, { method, body })).text()
    assert.deepEqual([await ask('GET', '/things/1'), await ask('GET', '/old/x')], ['fine', '/old'], 'what has an answer keeps it')
    assert.deepEqual([await ask('GET', '/?x=1'), await ask('POST', '/else', '{'), await ask('PUT', '/things', 'any')], ['GET /?x=1 ', 'POST /else {', 'PUT /things any'])
    assert.equal(await ask('OPTIONS', '/things'), 'OPTIONS /things ')
    assert.equal(seen.length, 1)
    await listening.close()
  },
})
