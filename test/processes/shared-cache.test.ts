/**
 * Conduit on two processes that share a Redis: what one has read the other finds, what a
 * session wrote it sees wherever it asks, and a Redis that is killed or emptied fails nobody.
 *
 * Negative control: without leases each process reads what neither has kept.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { RedisConnection } from '../../src/drivers/redis/connection.ts'
import { embeddedRedisUrl } from '../../src/drivers/redis/server.ts'
import type { IntentCount } from '../../src/runtime/statistics.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { Person, runCases } from '../realworld/own-cases.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { sharedCacheFile } from '../topologies/shared-cache.ts'

const skip = skipWithout('redis')
const isSoak = process.env.TENFOLD_SOAK === '1'
/** Connections are dealt to the processes in turn. */
const lanes = 8

interface Reply { readonly status: number; readonly body: any; readonly token: string | undefined }
type Send = (method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>) => Promise<Reply>

function connection(t: TestContext, url: string): Send {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  return (method, path, body, headers = {}) => new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body)
    const request = http.request(`${url}/api${path}`, { method, agent, headers: { ...headers, ...body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) } } }, response => {
      let heard = ''
      response.setEncoding('utf8').on('data', chunk => { heard += chunk }).on('end', () =>
        resolve({ status: response.statusCode!, body: heard === '' ? null : JSON.parse(heard), token: response.headers['tenfold-token'] as string | undefined }))
    })
    request.on('error', reject).end(text)
  })
}

async function deploy(t: TestContext, env: Record<string, string> = {}, callMs = 5_000): Promise<TestDeployment & { readonly sends: readonly Send[] }> {
  const topology = await sharedCacheFile(callMs)
  t.after(() => topology.remove())
  const deployment = await startDeployment({ topology: topology.file, env })
  t.after(() => deployment.close())
  return { ...deployment, sends: Array.from({ length: lanes }, () => connection(t, deployment.url)) }
}

async function redisOf({ dataFolder }: TestDeployment, t: TestContext): Promise<RedisConnection> {
  const secret = Buffer.from((await readFile(path.join(dataFolder, 'secret'), 'utf8')).trim(), 'hex')
  const redis = new RedisConnection({ url: embeddedRedisUrl({ dataFolder, purpose: 'cache', secret }), log: silentLogger, callMs: 5_000 })
  t.after(() => redis.close())
  await redis.open()
  return redis
}

async function runsOf({ adminUrl }: TestDeployment, intent: string): Promise<number> {
  const counts = await (await fetch(`${adminUrl}/statistics`)).json() as IntentCount[]
  return counts.find(one => one.intent === intent)?.calls ?? 0
}

async function articleOf(url: string): Promise<{ readonly author: Person; readonly slug: string }> {
  const author = new Person(url)
  await author.register()
  const { body } = await author.send('POST', '/articles', { article: { title: `About ${author.name}`, description: 'd', body: '0' } })
  return { author, slug: body.article.slug }
}

/** Questions that nobody has asked before, at the same time on every connection; how often they were read. */
async function readsOf(deployment: TestDeployment & { readonly sends: readonly Send[] }, questions: number, from: number): Promise<number> {
  const before = await runsOf(deployment, 'articles.list')
  for (let question = from; question < from + questions; question++) {
    const replies = await Promise.all(deployment.sends.map(send => send('GET', `/articles?limit=1&offset=${1_000 + question}`)))
    assert.ok(replies.every(({ status }) => status === 200))
  }
  return await runsOf(deployment, 'articles.list') - before
}

/** Reads and now and then a write on every connection, until told to end. */
function load({ sends }: { readonly sends: readonly Send[] }, { author, slug }: { readonly author: Person; readonly slug: string }, version: number) {
  const failures: string[] = []
  let [requests, ending, written] = [0, false, version]
  const headers = { authorization: `Token ${author.token}` }
  const lane = async (send: Send, index: number) => {
    for (let step = 0; !ending; step++) {
      requests++
      if (index === 0 && step % 5 === 0) {
        const wanted = String(++written)
        const { status, token } = await send('PUT', `/articles/${slug}`, { article: { body: wanted } }, headers)
        const shown = await sends[1 + step % (lanes - 1)]!('GET', `/articles/${slug}`, undefined, { ...headers, ...token ? { 'tenfold-token': token } : {} })
        if (status !== 200 || shown.body?.article?.body !== wanted) failures.push(`wrote ${wanted}: ${status}, shown ${shown.status} ${shown.body?.article?.body}`)
        continue
      }
      const { status } = await send('GET', step % 3 === 0 ? `/articles/${slug}` : `/articles?limit=2&offset=${(step * 7 + index) % 40}`)
      if (status !== 200) failures.push(`GET ${status}`)
    }
  }
  const running = Promise.all(sends.map((send, index) => lane(send, index).catch((error: Error) => { failures.push(error.message) })))
  return { async end() { ending = true; await running; return { requests, failures, written } } }
}

test('Conduit on two processes that share a Redis', { skip, timeout: 600_000 }, async t => {
  const deployment = await deploy(t)
  const { sends, url } = deployment
  await t.test('keeps what it promises', () => runCases(url))
  const redis = await redisOf(deployment, t)
  const article = await articleOf(url)
  const { author, slug } = article

  await t.test('a session sees what it wrote wherever it asks, and everybody does soon', async t => {
    let latestMs = 0
    for (let version = 1; version <= 10; version++) {
      await Promise.all(sends.map(send => send('GET', `/articles/${slug}`)))
      const { status, token } = await sends[version % lanes]!('PUT', `/articles/${slug}`, { article: { body: String(version) } }, { authorization: `Token ${author.token}` })
      assert.equal(status, 200)
      const wroteAtMs = monotonicMs()
      const shown = await Promise.all(sends.map(send => send('GET', `/articles/${slug}`, undefined, { 'tenfold-token': token! })))
      assert.deepEqual(shown.map(({ body }) => body.article.body), sends.map(() => String(version)))
      for (const send of sends) {
        while ((await send('GET', `/articles/${slug}`)).body.article.body !== String(version)) assert.ok(monotonicMs() - wroteAtMs < 5_000, 'others never see it')
      }
      latestMs = Math.max(latestMs, monotonicMs() - wroteAtMs)
    }
    t.diagnostic(`all ${lanes} connections have been shown each write within ${Math.round(latestMs)} ms`)
  })

  await t.test('of what neither process has kept one reads', async () => {
    assert.equal(await readsOf(deployment, 20, 0), 20)
  })

  await t.test('a Redis that forgets everything under load is not missed', async () => {
    const running = load(deployment, article, 100)
    await sleep(500)
    await redis.call(['FLUSHALL'])
    await sleep(500)
    const { failures } = await running.end()
    assert.deepEqual(failures, [])
    await redis.call(['FLUSHALL'])
    assert.equal(await readsOf(deployment, 20, 100), 20)
  })

  await t.test('a Redis that is killed under load fails nobody, and is used again', async t => {
    const pid = Number(/process_id:(\d+)/.exec(String(await redis.call(['INFO', 'server'])))![1])
    const running = load(deployment, article, 10_000)
    await sleep(500)
    process.kill(pid, 'SIGKILL')
    await sleep(isSoak ? 10_000 : 2_000)
    const { requests, failures } = await running.end()
    t.diagnostic(`${requests} requests`)
    assert.deepEqual(failures, [])
    assert.ok(requests > 50)
    // Both processes have found it again when one reads for both.
    const deadlineMs = monotonicMs() + 60_000
    for (let from = 200; await readsOf(deployment, 10, from) !== 10; from += 10) assert.ok(monotonicMs() < deadlineMs, 'it is not used again')
  })

  await t.test('is measured', async () => {
    const wanted = [
      'tenfold_engine_up{engine="redis"} 1', 'tenfold_redis_memory_limit_bytes{server="redis"} 67108864', 'tenfold_cache_shared_up{process="web-0"} 1', 'tenfold_cache_shared_up{process="web-1"} 1',
    ]
    // Whoever asks first waits for the client to be loaded.
    const deadlineMs = monotonicMs() + 120_000
    for (let missing: string[] = wanted; missing.length > 0; await sleep(100)) {
      const page = await (await fetch(`${deployment.adminUrl}/metrics`)).text()
      missing = wanted.filter(line => !page.includes(line))
      assert.ok(missing.length === 0 || monotonicMs() < deadlineMs, `not told: ${missing.join(', ')}`)
    }
  })
})

test('negative control: without leases both processes read', { skip: skip || (isSoak ? false : 'runs in npm run soak; test/shared-tier.test.ts has a shorter one'), timeout: 120_000 }, async t => {
  const deployment = await deploy(t, { TENFOLD_CACHE_LEASES: 'off' })
  await articleOf(deployment.url)
  const reads = await readsOf(deployment, 20, 0)
  t.diagnostic(`20 questions were read ${reads} times`)
  assert.ok(reads > 20, 'the test cannot see what it is for')
})
