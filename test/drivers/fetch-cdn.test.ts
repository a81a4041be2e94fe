/** The purge API of a hosted CDN: what a recording server gets, and what the driver does with its refusals. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { openFetchCdn } from '../../src/drivers/fetch/cdn.ts'
import type { FetchCdnOptions } from '../../src/drivers/fetch/cdn.ts'

interface Recorded { readonly method: string; readonly url: string; readonly headers: http.IncomingHttpHeaders; readonly body: string; readonly atMs: number }
type Refusal = { readonly status: number; readonly headers?: Record<string, string> } | 'drop' | 'hang'

/** Refuses as the list says, one after the other, and is content afterwards. */
async function recorder(t: TestContext, refusals: Refusal[] = [], hold: Promise<void> = Promise.resolve()) {
  const calls: Recorded[] = []
  const server = http.createServer(async (request, response) => {
    let body = ''
    for await (const chunk of request) body += String(chunk)
    calls.push({ method: request.method!, url: request.url!, headers: request.headers, body, atMs: monotonicMs() })
    const refusal = refusals.shift()
    if (refusal === 'drop') return void response.destroy()
    if (refusal === 'hang') return
    await hold
    response.writeHead(refusal?.status ?? 200, refusal?.headers ?? {})
    response.end('{}')
  }).listen(0, '127.0.0.1')
  t.after(() => { server.closeAllConnections(); server.close() })
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const open = async (options: Partial<FetchCdnOptions> = {}) => {
    const cdn = openFetchCdn({ url: `${url}/zones/7/purge`, headers: { authorization: 'Bearer secret' }, body: { tags: '{tags}' }, backoff: { baseMs: 10, capMs: 50 }, timeoutMs: 10_000, log: silentLogger, ...options })
    await cdn.open()
    t.after(() => cdn.close())
    return cdn
  }
  return { calls, open, url }
}

test('tags go as a list in the body, written as in the header', async t => {
  const { calls, open } = await recorder(t)
  await (await open()).purge(['author:1', 'tag:a b', 'author:1'])
  const { method, url, headers, body } = calls[0]!
  assert.deepEqual([calls.length, method, url, headers.authorization, headers['content-type'], JSON.parse(body)], [1, 'POST', '/zones/7/purge', 'Bearer secret', 'application/json', { tags: ['author:1', 'tag:a%20b'] }])
})

test('or joined, in a header or the address, with another method and no body', async t => {
  const { calls, open, url } = await recorder(t)
  const cdn = await open({ url: `${url}/purge?tags={list}`, method: 'PURGE', headers: { 'surrogate-key': '{list}' }, body: undefined, separator: ' ' })
  await cdn.purge(['a', 'b:1', '$&'])
  assert.deepEqual([calls[0]!.method, calls[0]!.url, calls[0]!.headers['surrogate-key'], calls[0]!.body], ['PURGE', '/purge?tags=a%20b%3A1%20%2524%2526', 'a b:1 %24%26', ''])
})

test('many tags go in as many calls as the API wants', async t => {
  const { calls, open } = await recorder(t)
  await (await open({ tagsMax: 3 })).purge(['1', '2', '3', '4', '5', '6', '7'])
  assert.deepEqual(calls.map(({ body }) => (JSON.parse(body) as { tags: string[] }).tags), [['1', '2', '3'], ['4', '5', '6'], ['7']])
})

test('calls that come while one is on its way go together, and none resolves by a call that began before it', async t => {
  const released = Promise.withResolvers<void>()
  const { calls, open } = await recorder(t, [], released.promise)
  const cdn = await open()
  const first = cdn.purge(['a'])
  while (calls.length === 0) await sleep(5)
  const done: string[] = []
  const later = ['a', 'b', 'c', 'b'].map(tag => cdn.purge([tag]).then(() => { done.push(tag) }))
  assert.deepEqual([calls.length, done], [1, []])
  released.resolve()
  await first
  await Promise.all(later)
  assert.deepEqual(calls.map(({ body }) => (JSON.parse(body) as { tags: string[] }).tags), [['a'], ['a', 'b', 'c']])
})

test('what passes is tried again: 5xx, a lost connection, no answer in time', async t => {
  const { calls, open } = await recorder(t, [{ status: 502 }, 'drop', 'hang'])
  const cdn = await open({ timeoutMs: 1_500 })
  await cdn.purge(['a'])
  assert.deepEqual([calls.length >= 4, await cdn.healthy()], [true, true])
})

test('429 is tried again no sooner than Retry-After says', async t => {
  const { calls, open } = await recorder(t, [{ status: 429, headers: { 'retry-after': '1' } }])
  await (await open()).purge(['a'])
  assert.equal(calls.length, 2)
  assert.ok(calls[1]!.atMs - calls[0]!.atMs >= 990, `${calls[1]!.atMs - calls[0]!.atMs} ms`)
})

test('what does not pass is not, and names the reason without the secret', async t => {
  const { calls, open } = await recorder(t, [{ status: 403 }])
  const cdn = await open()
  await assert.rejects(cdn.purge(['a']), (error: Error & { code: string }) => error.code === 'UNAVAILABLE' && /status 403/.test(error.message) && !/secret/.test(error.message))
  assert.deepEqual([calls.length, await cdn.healthy()], [1, false])
  await cdn.purge(['a'])
  assert.equal(await cdn.healthy(), true)
})

test('tries end, and one failed batch leaves the next alone', async t => {
  const { calls, open } = await recorder(t, [{ status: 500 }, { status: 500 }, { status: 500 }])
  const cdn = await open({ attemptsMax: 3 })
  const failing = cdn.purge(['a'])
  while (calls.length === 0) await sleep(1)
  await Promise.all([assert.rejects(failing, { code: 'UNAVAILABLE' }), cdn.purge(['b'])])
  assert.equal(calls.length, 4)
})

test('close ends what waits', async t => {
  const { open } = await recorder(t, [{ status: 429, headers: { 'retry-after': '60' } }])
  const cdn = await open()
  const waiting = assert.rejects(cdn.purge(['a']), { code: 'UNAVAILABLE' })
  await sleep(50)
  await cdn.close()
  await waiting
  await assert.rejects(cdn.purge(['a']), { code: 'UNAVAILABLE' })
})

test('an address that is none is found when it opens', async () => {
  await assert.rejects(openFetchCdn({ url: 'nowhere', log: silentLogger }).open())
})
