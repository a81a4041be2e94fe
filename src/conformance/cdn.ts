/** What every CDN must keep: src/ports/cdn.ts, and what HTTP asks of a shared cache, seen by clients in front of a real origin. */
import assert from 'node:assert/strict'
import http from 'node:http'
import { isTenfoldError } from '../base/errors.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Cdn } from '../ports/cdn.ts'
import { suite } from './check.ts'

export interface OriginAnswer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string
  readonly delayMs?: number
}
export interface OriginRequest { readonly method: string; readonly headers: http.IncomingHttpHeaders }

export interface CdnSubject {
  readonly cdn: Cdn
  /** Where clients ask; below it lies nothing of another subject. */
  readonly url: string
  readonly origin: {
    /** What is answered to a path from now on; `cdn-cache-control: max-age=60`, an ETag and the body `1` unless told otherwise. */
    answers(path: string, how: (request: OriginRequest, count: number) => OriginAnswer): void
    /** How often a path was asked for. */
    asked(path: string): number
    /** Stops listening; resolves when the CDN knows. */
    stop(): Promise<void>
  }
  /** Ends the engine of the CDN. */
  stop(): Promise<void>
}

export interface Seen { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string }

/** Not fetch: it adds headers of its own. */
export function ask(url: string, headers: http.OutgoingHttpHeaders = {}, method = 'GET', agent: http.Agent | false = false): Promise<Seen> {
  return new Promise((resolve, reject) => {
    http.request(url, { method, headers, agent }, response => {
      let body = ''
      response.setEncoding('utf8').on('data', chunk => { body += chunk }).on('error', reject)
        .on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }))
    }).on('error', reject).end()
  })
}

const publicFor = (seconds: number, more = ''): Record<string, string> => ({ 'cdn-cache-control': `max-age=${seconds}${more}`, 'cache-control': 'max-age=0' })
const credentials: readonly http.OutgoingHttpHeaders[] = [{ cookie: 'tenfold_token=t1.x' }, { cookie: 'a=b; tenfold_token=t1.x' }, { 'tenfold-token': 't1.x' }, { authorization: 'Token x' }]
const notStored: readonly OriginAnswer[] = [
  { headers: { 'cdn-cache-control': 'max-age=60', 'set-cookie': 'a=b' } }, { headers: { 'cache-control': 'private, max-age=60' } },
  { headers: { 'cache-control': 'no-store', 'cdn-cache-control': 'max-age=60' } }, { headers: { 'cdn-cache-control': 'max-age=60, private' } },
  { headers: { 'cache-control': 's-maxage=60, private="x"' } }, { headers: { 'cache-control': 'max-age=60', 'cdn-cache-control': 'max-age=0' } },
  { headers: { 'cdn-cache-control': 'no-cache, max-age=60' } }, { headers: { 'cdn-cache-control': '' } }, { headers: { ...publicFor(60), vary: '*' } },
  { headers: publicFor(60), status: 500 }, { headers: publicFor(60), status: 302 },
]

async function code(work: Promise<unknown>): Promise<string | null> {
  const error = await work.then(() => null, (reason: unknown) => reason)
  return isTenfoldError(error) ? error.code : null
}

async function eventually(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadlineMs = monotonicMs() + 10_000
  while (!await holds()) {
    assert(monotonicMs() < deadlineMs, `not within 10 s: ${what}`)
    await sleep(20)
  }
}

const counting = (headers: Record<string, string>, delayMs = 0) => (_: OriginRequest, count: number): OriginAnswer => ({ headers, body: String(count), delayMs })

export const cdnSuite = suite<CdnSubject>('cdn', {
  'a public answer is stored, with its age, and shows nothing that was meant for the CDN': async ({ url, origin }) => {
    origin.answers('/a', counting({ ...publicFor(60), 'cache-tag': 'one' }))
    await ask(`${url}/a`)
    const { body, headers } = await ask(`${url}/a`)
    assert.deepEqual([body, origin.asked('/a'), headers['cdn-cache-control'], headers['cache-tag'], headers['cache-control']], ['1', 1, undefined, undefined, 'max-age=0'])
    assert.match(headers.age ?? 'none', /^\d+$/)
  },
  'Cache-Control decides where nothing is said to CDNs, and silence stores nothing': async ({ url, origin }) => {
    origin.answers('/shared', counting({ 'cache-control': 'max-age=0, s-maxage=60', 'cdn-cache-control': '' }))
    origin.answers('/silent', counting({ 'cdn-cache-control': '' }))
    for (const path of ['/shared', '/shared', '/silent', '/silent']) await ask(url + path)
    assert.deepEqual([origin.asked('/shared'), origin.asked('/silent')], [1, 2])
  },
  'what is private, sets a cookie or fails is never stored': async ({ url, origin }) => {
    for (const [index, answer] of notStored.entries()) {
      origin.answers(`/private${index}`, (_, count) => ({ ...answer, body: String(count) }))
      const bodies = [await ask(`${url}/private${index}`), await ask(`${url}/private${index}`), await ask(`${url}/private${index}`)].map(one => one.body)
      assert.deepEqual(bodies, ['1', '2', '3'], JSON.stringify(answer))
    }
  },
  'a request with credentials is not answered from the store, and its answer is not stored': async ({ url, origin }) => {
    for (const [index, headers] of credentials.entries()) {
      const path = `/c${index}`
      origin.answers(path, counting(publicFor(60)))
      const bodies = [await ask(url + path, headers), await ask(url + path), await ask(url + path, headers), await ask(url + path)].map(one => one.body)
      assert.deepEqual(bodies, ['1', '2', '3', '2'], JSON.stringify(headers))
    }
  },
  'purge forgets what carries one of the tags, and nothing else': async ({ cdn, url, origin }) => {
    const tags: Record<string, string> = { '/t1': 'author:1,list', '/t2': 'author:2,list', '/t3': 'author:3', '/t4': '' }
    for (const [path, tag] of Object.entries(tags)) origin.answers(path, counting({ ...publicFor(60), ...(tag ? { 'cache-tag': tag } : {}) }))
    const read = () => Promise.all(Object.keys(tags).map(async path => (await ask(url + path)).body))
    assert.deepEqual(await read(), ['1', '1', '1', '1'])
    await cdn.purge(['author:1'])
    assert.deepEqual(await read(), ['2', '1', '1', '1'])
    await cdn.purge(['list', 'author:3', 'nobody-has-this'])
    assert.deepEqual(await read(), ['3', '2', '2', '1'])
    await cdn.purge([])
    assert.deepEqual(await read(), ['3', '2', '2', '1'])
  },
  'a tag may have any characters, and there may be many': async ({ cdn, url, origin }) => {
    const odd = ['a b', 'a,b', 'ä💡', 'x'.repeat(1_000), '"\r\nx: y', '%', 'a\u0000b']
    const { cacheTagHeader } = await import('../base/cache-tag.ts')
    for (const [index, tag] of odd.entries()) {
      origin.answers(`/o${index}`, counting({ ...publicFor(60), 'cache-tag': cacheTagHeader([tag, `other${index}`])! }))
      await ask(`${url}/o${index}`)
    }
    await cdn.purge(['a'])
    assert.equal((await ask(`${url}/o0`)).body, '1', 'no tag is part of another')
    await cdn.purge([...odd, ...Array.from({ length: 1_000 }, (_, index) => `many:${index}`)])
    for (const index of odd.keys()) assert.equal((await ask(`${url}/o${index}`)).body, '2', JSON.stringify(odd[index]))
  },
  'purge reaches every variant': async ({ cdn, url, origin }) => {
    origin.answers('/v', ({ headers }, count) => ({ headers: { ...publicFor(60), 'cache-tag': 'v', vary: 'Accept-Language' }, body: `${headers['accept-language']}${count}` }))
    const read = () => Promise.all(['de', 'en'].map(async language => (await ask(`${url}/v`, { 'accept-language': language })).body))
    const first = await read()
    assert.deepEqual([await read(), first.map(one => one.slice(0, 2))], [first, ['de', 'en']])
    await cdn.purge(['v'])
    const second = await read()
    assert.ok(second[0] !== first[0] && second[1] !== first[1], String(second))
  },
  'an answer that was on its way when its tag was purged is not stored': async ({ cdn, url, origin }) => {
    let value = 'old'
    origin.answers('/late', () => ({ headers: { ...publicFor(60), 'cache-tag': 'late' }, body: value, delayMs: 300 }))
    const early = ask(`${url}/late`)
    await eventually('the origin is asked', async () => origin.asked('/late') === 1)
    value = 'new'
    await cdn.purge(['late'])
    assert.equal((await early).body, 'old')
    assert.equal((await ask(`${url}/late`)).body, 'new')
  },
  'no read after a purge is older than it, while others read': async ({ cdn, url, origin }) => {
    let version = 0
    let reading = true
    origin.answers('/busy', () => { const body = String(version); return { headers: { ...publicFor(60), 'cache-tag': 'busy' }, body, delayMs: (version % 3) * 25 } })
    const readers = Array.from({ length: 4 }, async () => { while (reading) await ask(`${url}/busy`) })
    try {
      for (let round = 0; round < 20; round++) {
        version++
        await cdn.purge(['busy'])
        const { body } = await ask(`${url}/busy`)
        assert.ok(Number(body) >= version, `read ${body} after ${version} was purged`)
        await sleep(round % 4)
      }
    } finally { reading = false }
    await Promise.all(readers)
  },
  'requests for one thing at the same time are one request': async ({ url, origin }) => {
    origin.answers('/once', counting(publicFor(60), 200))
    const bodies = await Promise.all(Array.from({ length: 20 }, async () => (await ask(`${url}/once`)).body))
    assert.deepEqual([new Set(bodies), origin.asked('/once')], [new Set(['1']), 1])
  },
  'HEAD, ranges and conditions are answered from the store': async ({ url, origin }) => {
    origin.answers('/r', () => ({ headers: { ...publicFor(60), etag: '"e1"' }, body: 'abcdef' }))
    const head = await ask(`${url}/r`, {}, 'HEAD')
    assert.deepEqual([head.status, head.body, (await ask(`${url}/r`)).body], [200, '', 'abcdef'])
    const range = await ask(`${url}/r`, { range: 'bytes=1-2' })
    assert.deepEqual([range.status, range.body, range.headers['content-range']], [206, 'bc', 'bytes 1-2/6'])
    assert.deepEqual((await ask(`${url}/r`, { range: 'bytes=1-2', 'if-range': '"e2"' })).status, 200)
    assert.deepEqual((await ask(`${url}/r`, { range: 'bytes=9-' })).status, 416)
    assert.deepEqual((await ask(`${url}/r`, { 'if-none-match': '"e1"' })).status, 304)
    assert.equal(origin.asked('/r'), 1)
  },
  'a method that writes passes': async ({ url, origin }) => {
    origin.answers('/p', counting(publicFor(60)))
    const bodies = [await ask(`${url}/p`), await ask(`${url}/p`, {}, 'POST'), await ask(`${url}/p`, {}, 'DELETE'), await ask(`${url}/p`)].map(one => one.body)
    assert.deepEqual(bodies, ['1', '2', '3', '1'])
  },
  'stale-while-revalidate: the old answer at once, the new one soon': async ({ url, origin }) => {
    origin.answers('/swr', counting(publicFor(1, ', stale-while-revalidate=30'), 100))
    await ask(`${url}/swr`)
    await sleep(1_200)
    assert.equal((await ask(`${url}/swr`)).body, '1')
    await eventually('the new answer', async () => Number((await ask(`${url}/swr`)).body) > 1)
  },
  'stale-if-error: the old answer while the origin fails, and only then': async ({ url, origin }) => {
    let fails = false
    origin.answers('/sie', (_, count) => fails ? { status: 500, headers: publicFor(0), body: 'failed' } : { headers: publicFor(1, ', stale-if-error=30'), body: String(count) })
    await ask(`${url}/sie`)
    await sleep(1_200)
    assert.equal((await ask(`${url}/sie`)).body, '2', 'the origin is well')
    await sleep(1_200)
    fails = true
    for (let index = 0; index < 3; index++) assert.deepEqual((await ask(`${url}/sie`)).body, '2')
    fails = false
    assert.notEqual((await ask(`${url}/sie`)).body, 'failed')
  },
  'what is purged does not come back while the origin fails': async ({ cdn, url, origin }) => {
    let fails = false
    origin.answers('/gone', () => fails ? { status: 500, headers: publicFor(0) } : { headers: { ...publicFor(60, ', stale-if-error=60'), 'cache-tag': 'gone' } })
    await ask(`${url}/gone`)
    fails = true
    await cdn.purge(['gone'])
    assert.equal((await ask(`${url}/gone`)).status, 500)
  },
  'an origin that is gone: stale where that was allowed, 5xx elsewhere': { fault: 'origin', async run({ url, origin }) {
    origin.answers('/down', counting(publicFor(1, ', stale-if-error=60')))
    await ask(`${url}/down`)
    await sleep(1_200)
    await origin.stop()
    assert.equal((await ask(`${url}/down`)).body, '1')
    assert.ok((await ask(`${url}/never`)).status >= 500)
  } },
  'without its engine purge rejects and healthy says so': { fault: 'stop', async run({ cdn, stop }) {
    assert.equal(await cdn.healthy(), true)
    await stop()
    assert.equal(await code(cdn.purge(['a'])), 'UNAVAILABLE')
    assert.equal(await cdn.healthy(), false)
  } },
})
