/** The README's application, run as it stands there. */
import assert from 'node:assert/strict'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { startDeployment } from './support/deployment.ts'

const root = path.dirname(import.meta.dirname)

test('the application of the README works', async t => {
  const readme = await readFile(path.join(root, 'README.md'), 'utf8')
  const block = (language: string) => new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(readme)![1]!
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  // Inside the checkout, so that the package finds itself by its name.
  const folder = await mkdtemp(path.join(root, '.tenfold/readme-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await mkdir(path.join(folder, 'migrations'))
  await cp(path.join(root, 'examples/conduit/topologies'), path.join(folder, 'topologies'), { recursive: true })
  await writeFile(path.join(folder, 'app.ts'), block('ts'))
  await writeFile(path.join(folder, 'migrations/0001-note.sql'), block('sql'))
  const deployment = await startDeployment({ appFile: path.join(folder, 'app.ts') })
  t.after(() => deployment.close())
  const made = await fetch(`${deployment.url}/authors/jane/notes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"hello"}' })
  assert.equal(made.status, 201)
  const note = await made.json() as { id: string }
  assert.deepEqual(await (await fetch(`${deployment.url}/authors/jane/notes`)).json(), { notes: [{ id: note.id, author: 'jane', text: 'hello' }] })
  assert.deepEqual(await (await fetch(`${deployment.url}/authors/john/notes`)).json(), { notes: [] })
  const refused = await fetch(`${deployment.url}/authors/jane/notes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":1}' })
  assert.deepEqual([refused.status, refused.headers.get('content-type')], [422, 'application/problem+json; charset=utf-8'])
  assert.match(await (await fetch(`${deployment.url}/docs`)).text(), /POST/)
  assert.equal((await (await fetch(`${deployment.url}/openapi.json`)).json() as { openapi: string }).openapi, '3.1.0')
})
