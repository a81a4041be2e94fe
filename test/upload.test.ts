/** Uploads: Conduit's avatar from a client to the page that shows it, what is refused, and how a stranger's file is served. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import http from 'node:http'
import net from 'node:net'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { app } from '../examples/conduit/app.ts'
import { sleep } from '../src/base/time.ts'
import { openFilesystemBlobs } from '../src/drivers/filesystem/blobs.ts'
import { application, checkApplication, createClient, service } from '../src/index.ts'
import { openApiOf } from '../src/model/openapi.ts'
import { blobsMount } from '../src/runtime/blobs-mount.ts'
import { createUploads } from '../src/runtime/upload.ts'
import { startDeployment } from './support/deployment.ts'

/** The smallest picture of each kind, with something behind it to make them differ. */
const png = Buffer.concat([Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64'), Buffer.from('tenfold')])
const gif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7', 'base64')
const page = Buffer.from('<!doctype html><script>alert(1)</script>')
const drawing = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')

test('an avatar, from the upload to the page that shows it', async t => {
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  let token = ''
  const client = createClient(app, deployment.url, { headers: () => token ? { authorization: `Token ${token}` } : {} as Record<string, string> })
  token = (await client.accounts.register({ user: { username: 'jane', email: 'jane@example.com', password: 'password123' } })).user.token
  const blobsFolder = path.join(deployment.dataFolder, 'blobs')
  const stored = async () => (await readdir(blobsFolder, { recursive: true })).filter(name => name.endsWith('.blob') || name.startsWith('drafts/')).length
  const put = (body: RequestInit['body'], headers: Record<string, string> = {}) => fetch(`${deployment.url}/api/user/avatar`, {
    method: 'PUT', body, ...(body instanceof ReadableStream ? { duplex: 'half' as const } : {}), headers: { authorization: `Token ${token}`, 'content-type': 'image/png', ...headers },
  })
  let image = ''

  await t.test('the typed client sends a Blob, the account and its profile show the address', async () => {
    const { user } = await client.accounts.changeAvatar({ upload: new Blob([png], { type: 'image/png' }) })
    image = user.image!
    assert.match(image, /^\/blobs\/accounts\/[0-9a-f]{40}$/)
    assert.equal((await client.accounts.currentUser({})).user.image, image)
    const { article } = await client.articles.publish({ article: { title: 'One', description: 'd', body: 'b' } })
    assert.equal(article.author.image, image)
  })
  await t.test('served with an ETag, ranges and for ever, as a picture only', async () => {
    const whole = await fetch(deployment.url + image)
    assert.ok(Buffer.from(await whole.arrayBuffer()).equals(png))
    const named = (name: string) => whole.headers.get(name)
    assert.deepEqual([named('content-type'), named('cache-control'), named('x-content-type-options'), named('content-disposition'), named('content-security-policy'), named('accept-ranges')],
      ['image/png', 'public, max-age=31536000, immutable', 'nosniff', 'inline', "default-src 'none'; sandbox", 'bytes'])
    assert.equal((await fetch(deployment.url + image, { headers: { 'if-none-match': named('etag')! } })).status, 304)
    const part = await fetch(deployment.url + image, { headers: { range: 'bytes=1-3' } })
    assert.deepEqual([part.status, await part.text(), part.headers.get('content-range')], [206, 'PNG', `bytes 1-3/${png.length}`])
    for (const at of ['/blobs/accounts/none', '/blobs/', '/blobs', '/blobs/../secret', '/blobs/..%2f..%2fsecret', `/blobs/${'x'.repeat(600)}`]) assert.equal((await fetch(deployment.url + at)).status, 404, at)
  })
  await t.test('a retry with the same key has its effect once; the same file has the same address', async () => {
    const before = await stored()
    const answers = [await put(gif, { 'content-type': 'image/gif', 'idempotency-key': 'one' }), await put(gif, { 'content-type': 'image/gif', 'idempotency-key': 'one' })]
    const [first, second] = await Promise.all(answers.map(answer => answer.json())) as { user: { image: string } }[]
    assert.deepEqual([answers.map(({ status }) => status), second!.user.image, await stored()], [[200, 200], first!.user.image, before + 1])
    assert.equal((await put(png, { 'idempotency-key': 'one' })).status, 422, 'another file under the same key')
  })
  await t.test('what is refused is not stored', async () => {
    const before = await stored()
    const large = Buffer.concat([png, Buffer.alloc(2_097_152)])
    const statuses = [
      await put(png, { authorization: '' }), await put(png, { authorization: 'Token forged' }),
      await put(page, {}), await put(page, { 'content-type': 'text/html' }), await put(drawing, { 'content-type': 'image/svg+xml' }), await put(gif, { 'content-type': 'image/png' }), await put('{}', { 'content-type': 'application/json' }),
      await put(large), await put(new ReadableStream({ start(controller) { for (let at = 0; at < large.length; at += 65_536) controller.enqueue(large.subarray(at, at + 65_536)); controller.close() } })),
      await put(''), await put(null),
    ].map(answer => answer.status)
    assert.deepEqual([statuses, await stored()], [[401, 401, 415, 415, 415, 415, 415, 413, 413, 400, 400], before])
    assert.equal((await client.accounts.currentUser({})).user.image !== image, true, 'the gif stays')
  })
  await t.test('a sender that goes away in the middle leaves nothing, and the process goes on', async () => {
    const before = await stored()
    const socket = net.connect(Number(new URL(deployment.url).port), '127.0.0.1')
    socket.write(`PUT /api/user/avatar HTTP/1.1\r\nHost: x\r\nAuthorization: Token ${token}\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n`)
    socket.write(Buffer.concat([png, Buffer.alloc(10_000)]))
    await sleep(200)
    socket.destroy()
    await sleep(200)
    assert.deepEqual([await stored(), (await fetch(deployment.url + image)).status], [before, 200])
  })
  assert.equal(deployment.output().match(/"level":(50|60)/g), null, deployment.output())
})

test('a file that a browser would run is never served as what it is', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-blobs-'))
  const blobs = openFilesystemBlobs({ folder })
  await blobs.open()
  const server = http.createServer(blobsMount(blobs).handle).listen(0, '127.0.0.1')
  t.after(async () => { server.closeAllConnections(); server.close(); await rm(folder, { recursive: true }) })
  await once(server, 'listening')
  const expected: Record<string, string> = { 'text/html': 'attachment', 'image/svg+xml': 'attachment', 'application/xhtml+xml': 'attachment', 'text/xml': 'attachment', 'application/pdf': 'attachment', 'image/webp': 'inline', 'video/mp4': 'inline', 'text/plain': 'inline' }
  for (const [index, [type, disposition]] of Object.entries(expected).entries()) {
    await blobs.put(`k${index}`, (async function* () { yield page })(), { type, bytesMax: 1_000 })
    const { headers } = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/blobs/k${index}`)
    assert.deepEqual([headers.get('content-disposition'), headers.get('x-content-type-options'), headers.get('content-security-policy')], [disposition, 'nosniff', "default-src 'none'; sandbox"], type)
  }
})

test('what an upload may not declare, and what its declaration becomes', async () => {
  const files = service('files')
  const upload = (accepts: string[], http = 'PUT /files/:name') => files.upload({ http: http as 'PUT /x', accepts, bytesMax: 10, input: z.object({ name: z.string() }), output: z.object({}), key: ({ name, upload: { url } }) => name + url, run: async () => ({}) })
  const of = (one: unknown) => application('files', { services: { files: { files, one } as Record<string, unknown> } })
  for (const type of ['text/html', 'image/svg+xml', 'nonsense']) await assert.rejects(createUploads(of(upload([type])), null as never, Buffer.alloc(32)), { code: 'DECLARATION_FAULT', message: new RegExp(type.replace('+', '\\+')) })
  const fine = service('fine')
  const put = fine.upload({ http: 'PUT /blobs/:name', accepts: ['image/png', 'text/csv'], bytesMax: 10, input: z.object({ name: z.string() }), output: z.object({}), key: ({ name }) => name, run: async () => ({}) })
  const assembled = application('fine', { services: { fine: { fine, put } } })
  await createUploads(assembled, null as never, Buffer.alloc(32))
  assert.match(checkApplication(assembled).join(), /lies below '\/blobs'/)
  const operation = openApiOf(assembled).paths['/blobs/{name}']!.put as { requestBody: { content: object }; parameters: { name: string; in: string }[] }
  assert.deepEqual([Object.keys(operation.requestBody.content), operation.parameters.find(one => one.name === 'name')?.in], [['image/png', 'text/csv'], 'path'])
  assert.ok(!existsSync('blobs'))
})
