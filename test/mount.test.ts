/** Existing applications below a prefix: Fastify, Hono and Express, each served whole, unchanged. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { silentLogger } from '../src/base/log.ts'
import { openHttpIngress } from '../src/drivers/http/ingress.ts'
import { nodeHandlerOf } from '../src/model/mount.ts'
import type { Mountable, NodeHandler } from '../src/model/mount.ts'
import { startDeployment } from './support/deployment.ts'

const root = path.dirname(import.meta.dirname)

const express = createRequire(import.meta.url)('express') as (() => NodeHandler & { post(path: string, ...handlers: unknown[]): void }) & { json(): unknown }

const fastify = Fastify()
fastify.post('/old/:name', async request => ({ name: (request.params as { name: string }).name, body: request.body }))
const hono = new Hono()
hono.post('/old/:name', async context => context.json({ name: context.req.param('name'), body: await context.req.json<unknown>() }))
const classic = express()
classic.post('/old/:name', express.json(), (request: { params: { name: string }; body: unknown }, response: { json(value: unknown): void }) => response.json({ name: request.params.name, body: request.body }))

for (const [name, application] of Object.entries<Mountable>({ Fastify: fastify as unknown as Mountable, Hono: hono, Express: classic })) {
  test(`${name} below a prefix`, async t => {
    const listening = await openHttpIngress({ log: silentLogger }).listen({
      host: '127.0.0.1', port: 0, routes: [], corsOrigins: [], mounts: [{ prefix: '/old', handle: await nodeHandlerOf(application) }],
      handler: { admit: () => ({ refusal: null }), ended: () => {}, handle: async () => ({ status: 200, headers: {}, body: '' }), refuse: code => ({ status: 404, headers: {}, body: code }) },
    })
    t.after(() => listening.close())
    const answer = await fetch(`${listening.url}/old/jane`, { method: 'POST', body: '{"n":1}', headers: { 'content-type': 'application/json' } })
    assert.deepEqual(await answer.json(), { name: 'jane', body: { n: 1 } })
    assert.equal((await fetch(`${listening.url}/new`)).status, 404)
  })
}

test('a mounted handler is Node\'s own kind', async t => {
  const server = http.createServer(await nodeHandlerOf(hono)).listen(0, '127.0.0.1')
  t.after(() => { server.closeAllConnections(); server.close() })
  await once(server, 'listening')
  assert.equal((await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/none`)).status, 404)
})

test('the application of docs/adopting.md: an intent takes a route over from what is mounted at /', async t => {
  const [, app] = /```ts\n([\s\S]*?)```/.exec(await readFile(path.join(root, 'docs/adopting.md'), 'utf8'))!
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  // Inside the checkout, so that the package finds itself by its name.
  const folder = await mkdtemp(path.join(root, '.tenfold/adopting-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await cp(path.join(root, 'examples/conduit/topologies'), path.join(folder, 'topologies'), { recursive: true })
  await writeFile(path.join(folder, 'app.ts'), app!)
  const deployment = await startDeployment({ appFile: path.join(folder, 'app.ts') })
  t.after(() => deployment.close())
  const ask = async (place: string, options?: RequestInit) => {
    const answer = await fetch(deployment.url + place, options)
    return [answer.status, await answer.json().catch(() => null)]
  }
  assert.deepEqual(await ask('/greetings/jane'), [200, { text: 'Hello jane', by: 'tenfold' }])
  assert.deepEqual(await ask('/greetings', { method: 'POST', body: '{"n":1}' }), [200, { kept: { n: 1 } }])
  assert.deepEqual(await ask('/nowhere'), [404, null], 'Hono\'s own')
  assert.equal((await fetch(`${deployment.url}/docs`)).status, 200)
})
