/** Static files, seen by clients: variants, conditions, ranges, what may be kept, and what is not there. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib'
import { assetsMount, encodingFor } from '../src/runtime/assets.ts'
import { choose } from '../src/runtime/representation.ts'

const script = 'export const text = "0123456789"\n'.repeat(20)
let folder: string
let server: http.Server
let url: string

before(async () => {
  const home = await mkdtemp(path.join(os.tmpdir(), 'tenfold-assets-'))
  folder = path.join(home, 'public')
  await mkdir(path.join(folder, 'deep'), { recursive: true })
  const files: Record<string, string | Buffer> = {
    'app-B9vX1aTz.js': script, 'app-B9vX1aTz.js.br': brotliCompressSync(script), 'app-B9vX1aTz.js.gz': gzipSync(script),
    'index.html': '<p>hello', 'deep/index.html': '<p>deep', 'deep/ä b.txt': 'odd', 'empty.txt': '', '.secret': 'no', 'archive.tar.gz': gzipSync('x'), '../outside.txt': 'no',
  }
  for (const [name, content] of Object.entries(files)) await writeFile(path.join(folder, name), content)
  await symlink('../outside.txt', path.join(folder, 'link.txt'))
  const { prefix, handle } = await assetsMount('/assets', pathToFileURL(`${folder}/`))
  server = http.createServer(handle).listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${prefix}`
})
after(async () => {
  server.closeAllConnections()
  server.close()
  await rm(path.dirname(folder), { recursive: true, force: true })
})

interface Got { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: Buffer }
const get = (name: string, headers: http.OutgoingHttpHeaders = {}, method = 'GET'): Promise<Got> => new Promise((resolve, reject) => {
  http.request(url, { path: `/assets/${name}`, method, headers, agent: false }, response => {
    response.toArray().then(parts => resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(parts as Buffer[]) }), reject)
  }).on('error', reject).end()
})

test('a hashed name is kept for ever, any other asked for again, both with a strong ETag', async () => {
  const [one, page] = [await get('app-B9vX1aTz.js'), await get('')]
  assert.deepEqual([one.headers['cache-control'], one.headers['content-type'], one.headers['x-content-type-options'], one.body.toString()], ['public, max-age=31536000, immutable', 'text/javascript; charset=utf-8', 'nosniff', script])
  assert.deepEqual([page.headers['cache-control'], page.headers['content-type'], page.headers.vary, page.body.toString()], ['no-cache', 'text/html; charset=utf-8', undefined, '<p>hello'])
  assert.match(one.headers.etag!, /^"[\w-]{27}"$/)
})

test('the variants: chosen by Accept-Encoding, each with its own ETag and length', async () => {
  const [plain, br, gzip] = [await get('app-B9vX1aTz.js'), await get('app-B9vX1aTz.js', { 'accept-encoding': 'gzip, br' }), await get('app-B9vX1aTz.js', { 'accept-encoding': 'gzip' })]
  assert.deepEqual([plain, br, gzip].map(one => [one.headers['content-encoding'], one.headers.vary, one.headers['content-length'] === String(one.body.length)]), [[undefined, 'Accept-Encoding', true], ['br', 'Accept-Encoding', true], ['gzip', 'Accept-Encoding', true]])
  assert.deepEqual([brotliDecompressSync(br.body).toString(), gunzipSync(gzip.body).toString(), new Set([plain, br, gzip].map(one => one.headers.etag)).size], [script, script, 3])
  const again = await get('app-B9vX1aTz.js', { 'accept-encoding': 'br', 'if-none-match': br.headers.etag })
  assert.deepEqual([again.status, again.headers.vary, again.headers.etag, again.headers['cache-control'], again.body.length], [304, 'Accept-Encoding', br.headers.etag, br.headers['cache-control'], 0])
  assert.equal((await get('app-B9vX1aTz.js', { 'accept-encoding': 'gzip', 'if-none-match': br.headers.etag })).status, 200)
})

test('which encoding', () => {
  const all = { br: 1, gzip: 1, identity: 1 }
  const cases: [string | undefined, object, string][] = [
    [undefined, all, 'identity'], ['', all, 'identity'], ['br', all, 'br'], ['gzip, deflate, br', all, 'br'], ['gzip;q=1, br;q=0.5', all, 'gzip'], ['br;q=0, gzip', all, 'gzip'], ['*', all, 'br'],
    ['*;q=0', all, 'identity'], ['br', { gzip: 1, identity: 1 }, 'identity'], ['identity, gzip;q=0.5', all, 'identity'], ['BR', all, 'br'], ['br;q=x', all, 'identity'], ['*;q=0.1, gzip;q=0', all, 'br'],
  ]
  for (const [header, there, wanted] of cases) assert.equal(encodingFor(header, there), wanted, header)
})

test('ranges and conditions', () => {
  const representation = { etag: '"e"', bytes: 10, headers: {}, bodyHeaders: {} }
  const of = (headers: http.IncomingHttpHeaders, method = 'GET', bytes = 10) => {
    const { status, span } = choose(method, headers, { ...representation, bytes })
    return span ? `${status} ${span.offset}+${span.bytes}` : String(status)
  }
  const ranges: Record<string, string> = {
    'bytes=0-0': '206 0+1', 'bytes=9-9': '206 9+1', 'bytes=2-5': '206 2+4', 'bytes=5-': '206 5+5', 'bytes=5-99': '206 5+5', 'bytes=-3': '206 7+3', 'bytes=-99': '206 0+10', 'BYTES=0-1': '206 0+2',
    'bytes=10-': '416', 'bytes=99-100': '416', 'bytes=-0': '416', 'bytes=5-2': '200 0+10', 'bytes=-': '200 0+10', 'bytes=a-b': '200 0+10', 'items=0-1': '200 0+10', 'bytes=0-1,3-4': '200 0+10', 'bytes=0-99999999999999999999': '200 0+10',
  }
  for (const [range, wanted] of Object.entries(ranges)) assert.equal(of({ range }), wanted, range)
  assert.deepEqual([of({ range: 'bytes=0-' }, 'GET', 0), of({ range: 'bytes=-1' }, 'GET', 0), of({}, 'GET', 0), of({ range: 'bytes=0-1' }, 'HEAD')], ['416', '416', '200 0+0', '200'])
  const about = (ifRange: string) => of({ range: 'bytes=0-1', 'if-range': ifRange })
  assert.deepEqual([about('"e"'), about('"x"'), about('W/"e"'), about('Tue, 24 Nov 2026 00:00:00 GMT')], ['206 0+2', '200 0+10', '200 0+10', '200 0+10'])
  const none = (list: string) => of({ 'if-none-match': list, range: 'bytes=0-1' })
  assert.deepEqual([none('"e"'), none('"x", W/"e"'), none('*'), none('"x"'), none('e')], ['304', '304', '304', '206 0+2', '206 0+2'])
  assert.deepEqual([of({ 'if-match': '"x"' }), of({ 'if-match': 'W/"e"' }), of({ 'if-match': '"x", "e"' }), of({ 'if-match': '*' })], ['412', '412', '200 0+10', '200 0+10'])
})

test('a range of a variant is a part of that variant', async () => {
  const whole = await get('app-B9vX1aTz.js', { 'accept-encoding': 'br' })
  const part = await get('app-B9vX1aTz.js', { 'accept-encoding': 'br', range: 'bytes=2-5', 'if-range': whole.headers.etag })
  assert.deepEqual([part.status, part.headers['content-range'], part.headers['content-encoding'], part.body.equals(whole.body.subarray(2, 6))], [206, `bytes 2-5/${whole.body.length}`, 'br', true])
  const beyond = await get('index.html', { range: 'bytes=99-' })
  assert.deepEqual([beyond.status, beyond.headers['content-range'], beyond.body.length], [416, 'bytes */8', 0])
})

test('HEAD has the headers of GET, an empty file is one, other methods are refused', async () => {
  const [head, whole, empty, post] = [await get('index.html', {}, 'HEAD'), await get('index.html'), await get('empty.txt'), await get('index.html', {}, 'POST')]
  assert.deepEqual([head.status, head.body.length, head.headers['content-length'], head.headers.etag], [200, 0, '8', whole.headers.etag])
  assert.deepEqual([empty.status, empty.body.length, empty.headers['content-length']], [200, 0, '0'])
  assert.deepEqual([post.status, post.headers.allow], [405, 'GET, HEAD'])
})

test('only what lay in the folder is there', async () => {
  const names = ['.secret', 'link.txt', '../outside.txt', '%2e%2e/outside.txt', '..%2foutside.txt', '%2e%2e%2foutside.txt', 'nothing.js', 'app-B9vX1aTz.js.br', 'deep', '%', '%00', 'constructor', '/etc/passwd']
  for (const name of names) assert.equal((await get(name)).status, 404, name)
  for (const name of ['deep/', 'deep/%C3%A4%20b.txt', 'archive.tar.gz', 'index.html?x=1']) assert.equal((await get(name)).status, 200, name)
})

test('which names are kept for ever', async t => {
  const home = await mkdtemp(path.join(os.tmpdir(), 'tenfold-assets-'))
  t.after(() => rm(home, { recursive: true, force: true, maxRetries: 5 }))
  const names: Record<string, boolean> = {
    'main.3f2a9c1b.js': true, 'main.3f2a9c1b.js.map': true, 'index-DiwrgTda1.css': false, 'index-DiwrgTd1.css': true, 'logo-0123abcd0123abcd0123abcd.svg': true,
    'jquery-validation.js': false, 'bootstrap-datepicker.css': false, 'app.js': false, 'deadbeef.js': false, 'x-deadbeef.js': false, 'report-version2.js': false,
  }
  for (const name of Object.keys(names)) await writeFile(path.join(home, name), name)
  const { handle } = await assetsMount('/a', pathToFileURL(`${home}/`))
  const other = http.createServer(handle).listen(0, '127.0.0.1')
  t.after(() => { other.closeAllConnections(); other.close() })
  await once(other, 'listening')
  for (const [name, kept] of Object.entries(names)) {
    const { headers } = await fetch(`http://127.0.0.1:${(other.address() as AddressInfo).port}/a/${name}`, { method: 'HEAD' })
    assert.equal(headers.get('cache-control')!.includes('immutable'), kept, name)
  }
})

test('a folder that is not there is named', async () => {
  await assert.rejects(assetsMount('/a', new URL('file:///nowhere/at/all/')), { code: 'DECLARATION_FAULT', message: /nowhere/ })
})
