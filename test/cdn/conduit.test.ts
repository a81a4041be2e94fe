/**
 * Conduit behind a real Varnish: what is read by nobody in particular is answered by it, a
 * write is seen through it by everyone within a second and by its own session at once, and
 * nothing that saw credentials is kept.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import tuned from '../../examples/conduit/topologies/2-tuned.ts'
import { startDeployment } from '../support/deployment.ts'
import { freePort } from '../support/free-port.ts'
import { skipWithout } from '../../scripts/engines.ts'

interface Reply { readonly status: number; readonly body: Record<string, unknown>; readonly cache: string | null; readonly headers: Headers }

async function ask(url: string, method = 'GET', options: { readonly token?: string; readonly cookie?: string; readonly body?: unknown } = {}): Promise<Reply> {
  const answer = await fetch(url, {
    method, ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    headers: { ...(options.body === undefined ? {} : { 'content-type': 'application/json' }), ...(options.token ? { authorization: `Token ${options.token}` } : {}), ...(options.cookie ? { cookie: options.cookie } : {}) },
  })
  const text = await answer.text()
  return { status: answer.status, body: text ? JSON.parse(text) as Record<string, unknown> : {}, cache: answer.headers.get('x-cache'), headers: answer.headers }
}

const titleOf = ({ body }: Reply) => (body.article as { title: string } | undefined)?.title

test('Conduit behind Varnish', { skip: skipWithout('varnish') }, async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-cdn-'))
  const topology = path.join(folder, 'behind-varnish.ts')
  const { web, worker } = tuned.processes
  const ports = { ...tuned.ports, cdn: { driver: 'varnish', port: await freePort(), bytesMax: 67_108_864 } }
  await writeFile(topology, `export default ${JSON.stringify({ ...tuned, processes: { web: { ...web, replicas: 2 }, worker }, ports })}\n`)
  const deployment = await startDeployment({ topology })
  t.after(async () => { await deployment.close(); await rm(folder, { recursive: true, force: true, maxRetries: 5 }) })
  const cdn = /^ {2}cdn +(\S+)$/m.exec(deployment.output())![1]!
  const user = await ask(`${cdn}/api/users`, 'POST', { body: { user: { username: 'jake', email: 'jake@example.com', password: 'password123' } } })
  const { token } = user.body.user as { token: string }
  const draft = (title: string) => ({ article: { title, description: 'd', body: 'b', tagList: ['x'] } })
  const made = await ask(`${cdn}/api/articles`, 'POST', { token, body: draft('first') })
  const { slug } = made.body.article as { slug: string }
  const address = `${cdn}/api/articles/${slug}`

  await t.test('is kept by it, and says so', async () => {
    assert.equal((await ask(address)).status, 200)
    await until(async () => (await ask(address)).cache === 'HIT', 'a second answer comes from the CDN')
    const { headers } = await ask(address)
    assert.equal(headers.get('cdn-cache-control'), null, 'what is meant for the CDN stays there')
    assert.equal(headers.get('cache-tag'), null)
    const again = await fetch(address, { headers: { 'if-none-match': headers.get('etag')! } })
    assert.equal(again.status, 304)
  })
  await t.test('passes what says who calls, and keeps nothing of it', async () => {
    for (let time = 0; time < 3; time++) assert.equal((await ask(address, 'GET', { token })).cache, 'PASS')
    assert.match((await ask(address, 'GET', { token })).headers.get('cache-control')!, /private/)
  })
  await t.test('a write is seen by its own session at once, and through the CDN by everyone within a second', async () => {
    for (let time = 0; time < 5; time++) {
      await ask(address)
      const title = `title ${time}`
      const put = await ask(address, 'PUT', { token, body: { article: { body: title, description: title } } })
      const cookie = put.headers.getSetCookie().map(one => one.split(';')[0]!).join('; ')
      assert.match(cookie, /^tenfold_token=/)
      const description = (reply: Reply) => (reply.body.article as { description: string }).description
      assert.equal(description(await ask(address, 'GET', { cookie })), title, 'the session with its cookie')
      const startedMs = monotonicMs()
      await until(async () => description(await ask(address)) === title, 'everyone sees it', 1_000)
      t.diagnostic(`seen by everyone ${Math.round(monotonicMs() - startedMs)} ms after the answer`)
    }
  })
  await t.test('what is removed is gone', async () => {
    assert.equal(titleOf(await ask(address)), 'first')
    assert.equal((await ask(address, 'DELETE', { token })).status, 204)
    await until(async () => (await ask(address)).status === 404, 'everyone sees that it is gone', 1_000)
  })
})

async function until(isSo: () => Promise<boolean>, what: string, waitMs = 5_000): Promise<void> {
  const deadlineMs = monotonicMs() + waitMs
  while (!await isSo()) {
    if (monotonicMs() > deadlineMs) assert.fail(`not within ${waitMs} ms: ${what}`)
    await sleep(5)
  }
}
