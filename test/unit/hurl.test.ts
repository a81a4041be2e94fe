/** The reader of the public suite: what holds, what does not, and that it passes over nothing it does not know. */
import assert from 'node:assert/strict'
import http from 'node:http'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { entriesOf, holds, runHurl } from '../realworld/hurl.ts'

const body = { user: { name: 'jane', bio: null, tags: ['a', 'b'], none: [], age: 3, at: '2026-11-26T05:00:00Z', isThere: true } }
const variables = new Map([['name', 'jane'], ['age', '3'], ['slug', 'how-to']])

test('each predicate says true of what is so, and false of what is not', () => {
  const table: readonly [isSo: string, isNot: string][] = [
    ['name" == "{{name}}"', 'name" == "john"'], ['age" == {{age}}', 'age" == "3"'], ['bio" == null', 'name" == null'], ['isThere" == true', 'isThere" == false'],
    ['name" != {{slug}}', 'name" != "jane"'], ['age" >= 3', 'age" >= 4'], ['name" isString', 'age" isString'], ['isThere" isBoolean', 'bio" isBoolean'],
    ['age" isInteger', 'name" isInteger'], ['tags" isList', 'name" isList'], ['tags" contains "b"', 'tags" contains "c"'], ['tags" count == 2', 'tags" count == 1'],
    ['tags" count >= 2', 'tags" count >= 3'], ['none" isEmpty', 'tags" isEmpty'], ['tags" not isEmpty', 'none" not isEmpty'],
    ['away" not exists', 'name" not exists'], ['at" matches "^\\\\d{4}-\\\\d{2}"', 'name" matches "^\\\\d{4}"'], ['tags[1]" == "b"', 'tags[0]" == "b"'],
    // What is not there is nothing else either: not even empty.
    ['bio" exists', 'away" exists'], ['name" == "jane"', 'away" not isEmpty'], ['name" == "jane"', 'away" != "jane"'],
  ]
  for (const [isSo, isNot] of table) assert.deepEqual([isSo, isNot].map(one => holds(body, `jsonpath "$.user.${one}`, variables)), [true, false], `${isSo}, ${isNot}`)
})

test('what is not known is refused', () => {
  for (const text of ['jsonpath "$.user..name" isString', 'jsonpath "$.user.name" startsWith "j"', 'header "Location" exists', 'jsonpath "$.user.name" == "{{none}}"']) assert.throws(() => holds(body, text, variables), /not known|no value/)
  for (const text of ['GET http://elsewhere/\nHTTP 200', 'GET {{host}}/\n', 'GET {{host}}/\nHTTP 200\n[Cookies]\na: b']) assert.throws(() => entriesOf(text), /not a request|no status/)
})

test('it asks what is written, and tells what did not hold', async t => {
  const asked: string[] = []
  const server = http.createServer((request, response) => {
    let text = ''
    request.setEncoding('utf8').on('data', chunk => { text += chunk }).on('end', () => {
      asked.push(`${request.method} ${request.url} ${request.headers.authorization ?? ''} ${request.headers.cookie ?? ''} ${text}`)
      response.writeHead(201, { 'set-cookie': 'seen=1; Path=/; HttpOnly' }).end(JSON.stringify({ user: { token: 'secret' } }))
    })
  }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.after(() => server.close())
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-hurl-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(path.join(folder, 'one.hurl'), [
    '# Register', 'POST {{host}}/users', '{', '  "name": "n_{{uid}}"', '}', 'HTTP 201', '[Asserts]', 'jsonpath "$.user.token" isString', '[Captures]', 'token: jsonpath "$.user.token"', '',
    '# Wrong in two ways', 'GET {{host}}/user', 'Authorization: Token {{token}}', 'HTTP 200', '[Asserts]', 'jsonpath "$.user.token" == "other"', 'jsonpath "$.user.token" isString',
  ].join('\n'))
  const result = await runHurl(folder, `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  assert.match(asked[0]!, /^POST \/users {3}\{\n {2}"name": "n_[0-9a-f]{12}"\n\}$/)
  assert.equal(asked[1], 'GET /user Token secret seen=1 ')
  assert.deepEqual([result.requests, result.assertions, result.failures.length], [2, 5, 1])
  assert.match(result.failures[0]!, /^one\.hurl:13 GET \{\{host\}\}\/user: HTTP 200; jsonpath "\$\.user\.token" == "other"; answered 201/)
})
