/** `tenfold client`: the generated file stands alone, type-checks strictly, and works against the running Conduit. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { z } from 'zod'
import { application, service } from '../../src/index.ts'
import { clientMark, clientSourceOf } from '../../src/model/client-source.ts'
import { jsonTypeOf } from '../../src/model/json-type.ts'
import { conduitFile, startDeployment } from '../support/deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')
const run = (argv: readonly string[], cwd = root) => promisify(execFile)(process.execPath, argv, { cwd })
const tenfold = (...argv: string[]) => run([path.join(root, 'src/cli/main.ts'), ...argv])
const tsc = (folder: string, ...files: string[]) => run([path.join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '--strict', '--noUncheckedIndexedAccess', '--exactOptionalPropertyTypes',
  '--erasableSyntaxOnly', '--target', 'es2024', '--lib', 'es2024,dom', '--module', 'nodenext', '--allowImportingTsExtensions', '--types', '', ...files], folder)

const program = `import { ApiError, createClient } from './client.ts'
import type { ArticlesOneOutput } from './client.ts'
const client = createClient(url, { headers: () => token === '' ? {} : { authorization: 'Token ' + token } })
const { user } = await client.accounts.register({ user: { username: 'jane', email: 'jane@example.com', password: 'password123' } })
token = user.token
const article = { title: 'One', description: 'd', body: 'b', tagList: ['x'] }
const made = await client.articles.publish({ article }, { idempotencyKey: 'once' })
const again = await client.articles.publish({ article }, { idempotencyKey: 'once' })
const found: ArticlesOneOutput = await client.articles.one({ slug: made.article.slug })
const listed = await client.articles.list({ tag: 'x', limit: 5 })
const refused: unknown = await client.articles.one({ slug: 'none' }).catch((error: unknown) => error)
const removed: undefined = await client.articles.remove({ slug: made.article.slug })
const status = refused instanceof ApiError ? refused.status : 0
export const facts = { same: made.article.slug === again.article.slug, author: found.article.author.username, count: listed.articlesCount, status, removed }
`
const wrong = [`void client.articles.one({ slug: 1 })`, `void client.articles.one({})`, `made.article.titel.trim()`, `void client.articles.published({})`, `void client.articles.publish({ article: { title: 'x' } })`]

test('the client of Conduit', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-client-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const file = path.join(folder, 'client.ts')
  const facts = JSON.parse((await tenfold('client', '--app', conduitFile, '--out', file, '--json')).stdout) as { calls: number; untyped: string[]; changed: boolean }
  assert.ok(facts.calls > 15 && facts.changed)
  assert.deepEqual(facts.untyped, [])
  assert.match((await tenfold('client', '--app', conduitFile, '--out', file)).stdout, /\(unchanged\)/)
  assert.doesNotMatch(await readFile(file, 'utf8'), /^import|: any\b/m)
  assert.equal((await tenfold('client', '--app', conduitFile)).stdout, await readFile(file, 'utf8'))
  await writeFile(path.join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(path.join(folder, 'program.ts'), `const url: string = ''\nlet token = ''\n${program}`)
  await tsc(folder, 'program.ts')
  // Every wrong line is found, so that the types say something.
  await writeFile(path.join(folder, 'wrong.ts'), `const url: string = ''\nlet token = ''\n${program}${wrong.join('\n')}\n`)
  const refusal = await tsc(folder, 'wrong.ts').then(() => '', (error: { stdout: string }) => error.stdout)
  const lines = new Set([...refusal.matchAll(/^wrong\.ts\((\d+),/gm)].map(match => Number(match[1])))
  const first = program.split('\n').length + 2
  assert.deepEqual([...lines].sort((a, b) => a - b), wrong.map((_, index) => first + index), refusal)

  const deployment = await startDeployment()
  t.after(() => deployment.close())
  await writeFile(path.join(folder, 'live.ts'), `const url = ${JSON.stringify(deployment.url)}\nlet token = ''\n${program}`)
  const live = await import(pathToFileURL(path.join(folder, 'live.ts')).href) as { facts: unknown }
  assert.deepEqual(live.facts, { same: true, author: 'jane', count: 1, status: 404, removed: undefined })
})

test('a file of somebody else is left alone', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-client-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await writeFile(path.join(folder, 'mine.ts'), 'export const mine = 1\n')
  const refused = await tenfold('client', '--app', conduitFile, '--out', path.join(folder, 'mine.ts')).then(() => null, (error: { code: number; stderr: string }) => error)
  assert.equal(refused?.code, 2)
  assert.match(refused.stderr, /left as it is/)
  assert.equal(await readFile(path.join(folder, 'mine.ts'), 'utf8'), 'export const mine = 1\n')
  const nowhere = await tenfold('client', '--app', conduitFile, '--out', path.join(folder, 'none/client.ts')).then(() => null, (error: { code: number }) => error)
  assert.equal(nowhere?.code, 2)
})

test('types from JSON Schema', () => {
  const type = (schema: unknown) => jsonTypeOf(schema, name => name.slice(name.lastIndexOf('/') + 1))
  assert.equal(type({ type: 'object', properties: { a: { type: 'integer' }, 'b-c': { type: ['string', 'null'] } }, required: ['a'] }), '{ a: number; "b-c"?: string | null }')
  assert.equal(type({ type: 'array', items: { anyOf: [{ type: 'string' }, { const: 1 }] } }), '(string | 1)[]')
  assert.equal(type({ type: 'array', prefixItems: [{ type: 'string' }], items: { type: 'number' } }), '[string, ...number[]]')
  assert.equal(type({ enum: ['a', 2, null] }), '"a" | 2 | null')
  assert.equal(type({ type: 'object', additionalProperties: { type: 'number' } }), 'Record<string, number>')
  assert.equal(type({ allOf: [{ $ref: '#/$defs/A' }, { type: 'object', properties: { b: { type: 'boolean' } } }] }), 'A & { b?: boolean }')
  const a = { type: 'object', properties: { a: { type: ['string', 'null'] } } }
  assert.equal(type({ type: 'array', items: { anyOf: [a, { type: 'null' }] } }), '({ a?: string | null } | null)[]')
  assert.equal(type({ type: 'array', items: a }), '{ a?: string | null }[]')
  assert.equal(type({ type: 'array', items: { const: 'a|b' } }), '"a|b"[]')
  assert.equal(type({ not: {} }), 'unknown')
})

test('names that need quotes, schemas that refer to themselves, and ones that JSON Schema cannot tell', async t => {
  interface Tree { name: string; children: Tree[] }
  const Tree: z.ZodType<Tree> = z.object({ name: z.string(), get children() { return z.array(Tree) } })
  const trees = service('old-trees')
  const one = trees.query({ http: 'GET /trees/:id', input: z.object({ id: z.string() }), output: Tree, key: ({ id }) => id, run: (_, { id }) => ({ name: id, children: [] }) })
  const when = trees.query({ http: 'GET /when/:id', input: z.object({ id: z.string() }), output: z.date(), key: ({ id }) => id, run: () => new Date(0) })
  const { source, untyped } = clientSourceOf(application('forest', { services: { 'old-trees': { trees, one, when } } }))
  assert.ok(source.startsWith(clientMark))
  assert.deepEqual(untyped, ['old-trees.when (output)'])
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-client-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await writeFile(path.join(folder, 'client.ts'), source)
  await writeFile(path.join(folder, 'use.ts'), `import { createClient } from './client.ts'\nexport const name: Promise<string | undefined> = createClient('')['old-trees'].one({ id: 'x' }).then(tree => tree.children[0]?.children[0]?.name)\n`)
  await tsc(folder, 'use.ts')
})
