/** Varnish beyond its port: its configuration word by word, what it never stores, how much it answers, and its process. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { skipWithout } from '../../scripts/engines.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { ask } from '../../src/conformance/cdn.ts'
import { openVarnishCdn } from '../../src/drivers/varnish/cdn.ts'
import { findProgram } from '../../src/base/daemon.ts'
import { startVarnishServer } from '../../src/drivers/varnish/server.ts'
import { renderVcl } from '../../src/drivers/varnish/vcl.ts'
import { freePort } from '../support/free-port.ts'
import { isAlive } from '../support/liveness.ts'
import { scratchVarnish } from '../support/varnish.ts'
import type { ScratchVarnish } from '../support/varnish.ts'

const skip = skipWithout('varnish')
const golden = new URL('../fixtures/tenfold.vcl', import.meta.url)
const example = { origin: { host: '127.0.0.1', port: 3001 }, secret: 'secret-of-the-purge', corsOrigins: ['https://a.example'], ignoredCookies: ['_ga', 'theme'], credentialHeaders: ['X-Api-Key'] }
let starting: Promise<ScratchVarnish> | undefined
const shared = () => starting ??= scratchVarnish({ corsOrigins: ['https://a.example'], ignoredCookies: ['_ga', 'theme'], credentialHeaders: ['X-Api-Key'] })
after(async () => { await (await starting?.catch(() => undefined))?.close() })

test('the rendered configuration is the one that was reviewed (UPDATE_GOLDEN=1 writes it)', () => {
  const vcl = renderVcl(example)
  if (process.env.UPDATE_GOLDEN) writeFileSync(golden, vcl)
  assert.equal(vcl, readFileSync(golden, 'utf8'))
})

test('options cannot end the string they are put into', () => {
  for (const bad of [{ secret: 'short' }, { secret: 'a-long-secret"; }' }, { ignoredCookies: ['a"b'] }, { credentialHeaders: ['A: b'] }, { corsOrigins: ['https://a.example" || true'] }, { healthPath: 'health' }, { origin: { host: 'a"b', port: 1 } }]) {
    assert.throws(() => renderVcl({ ...example, ...bad }), { code: 'TOPOLOGY_REFUSED' })
  }
})

interface Exchange { readonly asks: Record<string, string>; readonly answers: Record<string, string | string[]>; readonly status: number }

/** May be stored at most then: written apart from the configuration, and simpler. */
function mayBeStored({ asks, answers, status }: Exchange): boolean {
  const text = (name: string) => [answers[name] ?? ''].flat().join(',').toLowerCase()
  const own = text('cdn-cache-control')
  const words = (field: string) => field.split(',').map(one => one.trim().split('=')[0]!.trim())
  if (Object.keys(asks).some(name => name !== 'cookie') || /tenfold_token|sid/.test(asks.cookie ?? '')) return false
  if (answers['set-cookie'] || text('vary').includes('*') || status >= 500 || status === 302) return false
  if ([...words(text('cache-control')), ...words(own)].some(word => word === 'private' || word === 'no-store')) return false
  return /(s-maxage|max-age)=[1-9]/.test(own !== '' ? own : text('cache-control')) && !words(own !== '' ? own : text('cache-control')).includes('no-cache')
}

const spacing = fc.constantFrom(', ', ',', ',\t', ' , ')
const directives = fc.array(fc.constantFrom('max-age=60', 'max-age=60', 's-maxage=60', 'MAX-AGE=60', 'max-age=0', 's-maxage=60', 's-maxage=0', 'public', 'private', 'Private', 'private="x"', 'no-store', 'NO-STORE', 'no-cache', 'stale-while-revalidate=60', 'stale-if-error=60', 'must-revalidate', 'x-private', 'max-age=no'), { maxLength: 4 })
const control = fc.oneof(fc.constant(undefined), fc.constant('max-age=60'), fc.tuple(directives, spacing).map(([list, by]) => list.join(by)), directives)
const some = <T>(value: fc.Arbitrary<T>) => fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value })
const compact = <T>(record: Record<string, T | undefined>) => Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined && value !== '' && (!Array.isArray(value) || value.length > 0))) as Record<string, T>
const exchange: fc.Arbitrary<Exchange> = fc.record({
  asks: fc.record({ cookie: some(fc.constantFrom('tenfold_token=a.b', '_ga=1', '_ga=1; theme=dark', 'theme=dark;tenfold_token=x', '_ga=1; sid=2', 'x_ga=1; sid=1')), authorization: some(fc.constant('Token x')), 'tenfold-token': some(fc.constant('t1.a')), 'x-api-key': some(fc.constant('k')) }).map(compact<string>),
  answers: fc.record({ 'cache-control': control, 'cdn-cache-control': control, 'set-cookie': some(fc.constantFrom<string | string[]>('a=b', ['a=b', 'c=d'])), vary: some(fc.constantFrom<string | string[]>('*', ['Accept', '*'], 'Accept-Encoding')) })
    .map(record => ({ 'cdn-cache-control': '', ...compact<string | string[]>(record) })),
  status: fc.oneof({ weight: 12, arbitrary: fc.constant(200) }, { weight: 1, arbitrary: fc.constantFrom(404, 301, 302, 500, 503) }),
})

test('nothing private is ever stored, whatever the headers', { skip }, async t => {
  const { url, origin } = await shared()
  let number = 0
  let [allowed, stored] = [0, 0]
  await fc.assert(fc.asyncProperty(exchange, async one => {
    const at = `/x${number++}`
    origin.answers(at, (_, count) => ({ status: one.status, headers: one.answers, body: String(count) }))
    const bodies = [await ask(url + at, one.asks), await ask(url + at, one.asks), await ask(url + at)].map(({ body }) => body)
    if (bodies[1] === bodies[0]) stored++
    if (!mayBeStored(one)) assert.ok(bodies[0] !== bodies[1] && bodies[2] !== bodies[0] && bodies[2] !== bodies[1], `stored: ${JSON.stringify(bodies)}`)
    else allowed++
  }), { numRuns: process.env.TENFOLD_SOAK ? 5_000 : 600, ...(process.env.SEED ? { seed: Number(process.env.SEED) } : {}) })
  t.diagnostic(`of ${number} answers ${allowed} may be stored, ${stored} were`)
  assert.ok(stored > allowed / 2, 'the control: what may be stored mostly is')
})

test('stored answers serve other people, never a session that wrote', { skip }, async () => {
  const { url, origin } = await shared()
  origin.answers('/shown', (_, count) => ({ headers: { 'cdn-cache-control': 'max-age=60' }, body: String(count) }))
  const steps = [{}, {}, { cookie: 'tenfold_token=t1.x' }, { cookie: '_ga=1; tenfold_token=t1.x' }, { cookie: '_ga=1' }, { 'x-api-key': 'k' }, {}]
  const seen = []
  for (const headers of steps) { const { body, headers: got } = await ask(`${url}/shown`, headers); seen.push(`${body} ${got['x-cache']}`) }
  assert.deepEqual(seen, ['1 MISS', '1 HIT', '2 PASS', '3 PASS', '1 HIT', '4 PASS', '1 HIT'])
})

test('Accept-Encoding and Origin make as few variants as there are answers', { skip }, async () => {
  const { url, origin } = await shared()
  origin.answers('/few', ({ headers }) => ({ headers: { 'cdn-cache-control': 'max-age=60', vary: 'Accept-Encoding, Origin' }, body: `${headers['accept-encoding']} ${headers.origin}` }))
  const encodings = ['br', 'gzip, br', 'br;q=1.0, gzip', 'gzip', 'gzip;q=0.5', 'deflate, gzip', 'br;q=0, gzip', 'identity', 'br;q=0', 'zebra', '']
  const bodies = []
  for (const encoding of encodings) bodies.push((await ask(`${url}/few`, encoding ? { 'accept-encoding': encoding } : {})).body)
  assert.deepEqual(bodies.map(body => body.split(' ')[0]), ['br', 'br', 'br', 'gzip', 'gzip', 'gzip', 'gzip', 'undefined', 'undefined', 'undefined', 'undefined'])
  assert.equal(origin.asked('/few'), 3)
  for (const from of ['https://b.example', 'https://a.example', 'https://c.example', 'https://a.example']) bodies.push((await ask(`${url}/few`, { origin: from })).body)
  assert.deepEqual([bodies.slice(-4), origin.asked('/few')], [['undefined undefined', 'undefined https://a.example', 'undefined undefined', 'undefined https://a.example'], 4])
})

test('a purge from elsewhere, without the secret or without tags is refused', { skip }, async () => {
  const { url, secret } = await shared()
  assert.equal((await ask(url, { 'xkey-purge': 'a' }, 'PURGE')).status, 403)
  assert.equal((await ask(url, { 'xkey-purge': 'a', 'purge-secret': 'guessed-by-somebody' }, 'PURGE')).status, 403)
  assert.equal((await ask(url, { 'purge-secret': secret }, 'PURGE')).status, 400)
  await assert.rejects(openVarnishCdn({ url, secret: 'another-secret-of-somebody' }).purge(['a']), { code: 'UNAVAILABLE', message: /refuses the purge/ })
})

test('methods that HTTP APIs do not use are refused, preflights pass', { skip }, async () => {
  const { url, origin } = await shared()
  origin.answers('/m', ({ method }) => ({ body: method }))
  assert.deepEqual([(await ask(`${url}/m`, {}, 'TRACE')).status, (await ask(`${url}/m`, {}, 'PROPFIND')).status, (await ask(`${url}/m`, {}, 'OPTIONS')).body, origin.asked('/m')], [405, 405, 'OPTIONS', 1])
})

test('what a client sends of the configuration\'s own headers changes nothing and reaches nobody', { skip }, async () => {
  const { url, origin, secret } = await shared()
  const own = { 'x-tenfold-stale': '1', 'x-tenfold-has-stale': '1', 'x-tenfold-cache': 'HIT', 'purge-secret': secret }
  origin.answers('/own', ({ headers }, count) => ({ headers: { 'cdn-cache-control': 'max-age=1, stale-if-error=60', xkey: 'sneaked' }, body: `${count} ${Object.keys(headers).filter(name => name in own)}` }))
  assert.equal((await ask(`${url}/own`, own)).body, '1 ')
  await sleep(1_200)
  assert.equal((await ask(`${url}/own`, own)).body, '2 ', 'stale is for when the origin fails')
  assert.equal((await ask(`${url}/own`)).headers['x-request-id'], undefined)
})

test('of a mix of reads whose popularity follows Zipf, with writes, at least 95 % are answered by Varnish', { skip }, async t => {
  const { url, origin, secret } = await shared()
  const cdn = openVarnishCdn({ url, secret })
  const agent = new http.Agent({ keepAlive: true })
  const [articles, reads, writeEvery] = [100, 6_000, 100]
  const weights = Array.from({ length: articles }, (_, rank) => 1 / (rank + 1))
  const total = weights.reduce((sum, weight) => sum + weight)
  let state = 7
  const random = () => (state = state * 48_271 % 2_147_483_647) / 2_147_483_647
  const pick = () => { let at = random() * total; return weights.findIndex(weight => (at -= weight) < 0) }
  const versions = new Array<number>(articles).fill(0)
  for (const [article] of versions.entries()) origin.answers(`/article${article}`, () => ({ headers: { 'cdn-cache-control': 'max-age=60', 'cache-tag': `article:${article},articles` }, body: String(versions[article]) }))
  let hits = 0
  for (let read = 0; read < reads; read++) {
    const article = Math.max(0, pick())
    if (read % writeEvery === 0) { versions[article]!++; await cdn.purge([`article:${article}`]) }
    const { body, headers } = await ask(`${url}/article${article}`, {}, 'GET', agent)
    assert.equal(body, String(versions[article]), 'a write is visible at once')
    if (headers['x-cache'] === 'HIT') hits++
  }
  agent.destroy()
  await cdn.close()
  t.diagnostic(`${(hits / reads * 100).toFixed(2)} % of ${reads} reads, ${reads / writeEvery} writes`)
  assert.ok(hits / reads >= 0.95, `${hits} of ${reads}`)
})

async function ownVarnish(t: TestContext) {
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-varnish-'))
  t.after(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }))
  await chmod(dataFolder, 0o755)
  const options = { vcl: renderVcl({ origin: { host: '127.0.0.1', port: 1 }, secret: 'secret-of-the-purge' }), dataFolder, port: await freePort(), log: silentLogger }
  return { options, cdn: openVarnishCdn({ url: `http://127.0.0.1:${options.port}`, secret: 'secret-of-the-purge' }) }
}

test('a Varnish that dies runs again', { skip }, async t => {
  const { options, cdn } = await ownVarnish(t)
  const server = await startVarnishServer(options)
  t.after(() => server.stop())
  const { pid } = server
  process.kill(pid!, 'SIGKILL')
  const deadlineMs = monotonicMs() + 20_000
  while (server.pid === null || server.pid === pid || !await cdn.healthy()) { assert.ok(monotonicMs() < deadlineMs, 'it did not come back'); await sleep(20) }
})

test('a Varnish whose supervisor was killed is ended by the next start, on the same port', { skip }, async t => {
  const { options, cdn } = await ownVarnish(t)
  const { log: _, ...plain } = options
  const supervisor = spawn(process.execPath, [fileURLToPath(new URL('../fixtures/varnish-supervisor.ts', import.meta.url)), JSON.stringify(plain)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(supervisor, 'exit').then(() => { throw new Error('the supervisor ended by itself') })
  ended.catch(() => {})
  const leftBehind = Number(String((await Promise.race([once(supervisor.stdout, 'data'), ended]))[0]))
  supervisor.kill('SIGKILL')
  assert.ok(isAlive(leftBehind) && await cdn.healthy())
  const server = await startVarnishServer(options)
  t.after(() => server.stop())
  assert.deepEqual([server.pid === leftBehind, await cdn.healthy()], [false, true])
  await server.stop()
  await server.stop()
  assert.deepEqual([server.pid, await cdn.healthy(), isAlive(leftBehind)], [null, false, false])
})

test('without its program the packages are named', () => {
  assert.throws(() => findProgram('varnishd-of-nobody', ['varnish', 'varnish-modules']), { code: 'ENGINE_MISSING', message: /apt-get install varnish varnish-modules/ })
})

test('a port that is taken is named', { skip }, async () => {
  const { server, url } = await shared()
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-varnish-'))
  await chmod(dataFolder, 0o755)
  try {
    await assert.rejects(startVarnishServer({ vcl: renderVcl(example), dataFolder, port: server.port, log: silentLogger }), new RegExp(String(server.port)))
    assert.equal((await ask(`${url}/none`)).status, 404, 'the one that was there goes on')
  } finally { await rm(dataFolder, { recursive: true, force: true }) }
})
