/** Conduit's own journeys, and what docs/load.md shows, run as they stand there. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { findJourneyFiles } from '../../src/load/journey-files.ts'
import { readLedger, verifyLedger } from '../../src/load/ledger.ts'
import { constantProfile } from '../../src/load/profile.ts'
import { runLoad } from '../../src/load/run.ts'
import { startDeployment } from '../support/deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')
const blocksOf = async (file: string, language: string) => [...(await readFile(path.join(root, file), 'utf8')).matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(match => match[1]!)

test('Conduit is read, written and commented on, and every acknowledged write is found', { timeout: 300_000 }, async t => {
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  const post = async (place: string, body: unknown, token?: string) => {
    const response = await fetch(deployment.url + place, { method: 'POST', headers: { 'content-type': 'application/json', ...token ? { authorization: `Token ${token}` } : {} }, body: JSON.stringify(body) })
    assert.equal(response.status, 201)
    return await response.json() as { user: { token: string } }
  }
  const { user: { token } } = await post('/api/users', { user: { username: 'jane', email: 'jane@example.com', password: 'password' } })
  for (const title of ['One', 'Two', 'Three']) await post('/api/articles', { article: { title, description: 'd', body: 'b', tagList: ['tag'] } }, token)
  const ledger = path.join(deployment.dataFolder, 'ledger.jsonl')
  const report = await runLoad({
    url: deployment.url, files: await findJourneyFiles(path.join(root, 'examples/conduit/load')), mix: { reader: 1, writer: 1, commenter: 1, newcomer: 1 }, think: 0.01,
    rate: constantProfile(4), durationMs: 8_000, timeoutMs: 60_000, generators: 1, ledger,
  })
  const wrong = report.steps.filter(({ byCode }) => Object.keys(byCode).some(code => !/^2|503|504/.test(code)))
  assert.deepEqual(wrong.map(({ step, byCode }) => ({ step, byCode })), [], 'a busy machine may refuse; nothing else goes wrong')
  for (const step of ['reader/article', 'writer/publish', 'commenter/comment', 'newcomer/register']) assert.ok(report.steps.some(one => one.step === step && one.good > 0), step)
  assert.ok(report.acknowledged > 0)
  const entries = await readLedger(ledger)
  assert.equal(entries.length, report.acknowledged)
  assert.deepEqual(await verifyLedger(deployment.url, entries), { writes: entries.length, lost: [] })
})

test('the journeys and the program of docs/load.md run on the application of the README', { timeout: 300_000 }, async t => {
  const [app] = await blocksOf('README.md', 'ts')
  const [journeys, program] = await blocksOf('docs/load.md', 'ts')
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  // Inside the checkout, so that the package finds itself by its name.
  const folder = await mkdtemp(path.join(root, '.tenfold/load-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  for (const one of ['migrations', 'load']) await mkdir(path.join(folder, one))
  await cp(path.join(root, 'examples/conduit/topologies'), path.join(folder, 'topologies'), { recursive: true })
  await writeFile(path.join(folder, 'app.ts'), app!)
  await writeFile(path.join(folder, 'migrations/0001-note.sql'), (await blocksOf('README.md', 'sql'))[0]!)
  await writeFile(path.join(folder, 'load/journeys.ts'), journeys!)
  const deployment = await startDeployment({ appFile: path.join(folder, 'app.ts') })
  t.after(() => deployment.close())
  await writeFile(path.join(folder, 'program.ts'), program!.replace('http://127.0.0.1:3000', deployment.url))
  await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify({ extends: path.join(root, 'tsconfig.json'), include: ['load', 'program.ts'], exclude: [] }))
  const run = promisify(execFile)
  await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', folder])
  const { stdout } = await run(process.execPath, ['program.ts'], { cwd: folder })
  const lines = stdout.trim().split('\n')
  assert.ok(lines.length > 5, stdout)
  assert.match(lines.at(-1)!, /^[\d.]+ (true|false)$/)
})
