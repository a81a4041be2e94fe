/**
 * Advice on a real deployment of Conduit with the sample data: silent on the untouched one;
 * on a copy with two indexes dropped and a loop planted it finds exactly those, and what it
 * proposes mends them.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import type { Advice, Finding } from '../src/insight/finding.ts'
import { conduitFile, startDeployment } from './support/deployment.ts'
import type { TestDeployment } from './support/deployment.ts'
import { loadConduit } from './support/conduit-load.ts'
import { copyOfSeededData } from './support/seeded-data.ts'

const root = path.resolve(import.meta.dirname, '..')
/** Indexes that each answer something Conduit asks of a table of more than a few pages. */
const dropped = ['article_by_time', 'favorite_by_user']
const rounds = 60
const planted = `
import { z } from 'zod'
import { articles } from './service.ts'

export const planted = articles.query({
  http: 'GET /api/planted', scatter: true, input: z.object({}), output: z.array(z.string()),
  async run(context) {
    const slugs: string[] = []
    for (const { bucket, id } of await context.sql<{ bucket: number; id: string }>\`SELECT bucket, id FROM article LIMIT 20\`) {
      const [row] = await context.sql<{ slug: string }>\`SELECT slug FROM article WHERE bucket = \${bucket} AND id = \${id}\`
      slugs.push(row!.slug)
    }
    return slugs
  },
})
`

/** Conduit elsewhere, with a query that reads row by row. */
async function plantedCopy(): Promise<{ appFile: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-conduit-'))
  const copy = path.join(folder, 'conduit')
  await cp(path.dirname(conduitFile), copy, { recursive: true, filter: file => path.basename(file) !== 'node_modules' })
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  await writeFile(path.join(copy, 'services/articles/planted.ts'), planted)
  await appendFile(path.join(copy, 'services/articles/index.ts'), `export { planted } from './planted.ts'\n`)
  return { appFile: path.join(copy, 'app.ts'), remove: () => rm(folder, { recursive: true, force: true }) }
}

async function command(deployment: TestDeployment, name: string, appFile: string, ...more: string[]): Promise<string> {
  const env = { ...process.env, TENFOLD_DATA: deployment.dataFolder, ADMIN_PORT: new URL(deployment.adminUrl).port, LOG_LEVEL: 'warn' }
  return promisify(execFile)(process.execPath, ['src/cli/main.ts', name, '--app', appFile, '--for', '100ms', ...more], { cwd: root, env })
    // Findings end with 1 as well; what went wrong otherwise says so on standard error.
    .catch((error: Error & { stdout: string; stderr: string }) => { if (error.stderr) throw error; return error })
    .then(({ stdout }) => stdout)
}

const adviceOn = async (deployment: TestDeployment, appFile: string, ...more: string[]) => JSON.parse(await command(deployment, 'advise', appFile, '--json', ...more)) as Advice

async function sql<Row extends pg.QueryResultRow>(dataFolder: string, text: string): Promise<Row[]> {
  const [password, port] = await Promise.all(['password', 'port'].map(name => readFile(path.join(dataFolder, 'postgres', `postgres.${name}`), 'utf8')))
  const client = new pg.Client({ host: '127.0.0.1', user: 'postgres', password: password!.trim(), port: Number(port) })
  await client.connect()
  try { return (await client.query<Row>(text)).rows } finally { await client.end() }
}

const indexesOf = async (dataFolder: string) => (await sql<{ name: string; definition: string }>(dataFolder, `
  SELECT indexname AS name, indexdef AS definition FROM pg_indexes WHERE schemaname = 'articles' ORDER BY 1`))

/** The columns of an index with their directions, as its definition lists them. */
const columnsOf = (definition: string) => /\((.*)\)/.exec(definition)![1]!.split(', ').map(text => ({ column: text.replace(' DESC', ''), descending: text.endsWith(' DESC') }))

/** What autovacuum does within a minute or two, and counts of the load only. */
async function settle(dataFolder: string): Promise<void> {
  await sql(dataFolder, 'VACUUM ANALYZE')
  await sql(dataFolder, 'CREATE EXTENSION IF NOT EXISTS pg_stat_statements')
  await sql(dataFolder, 'SELECT pg_stat_statements_reset()')
}

const missing = (findings: readonly Finding[]) => findings.filter(one => one.kind === 'missing-index').sort((a, b) => a.index!.table < b.index!.table ? -1 : 1)

test('advice on Conduit', async t => {
  let deployment = await startDeployment({ dataFolder: await copyOfSeededData() })
  t.after(() => deployment.close())
  const { dataFolder } = deployment
  const before = await indexesOf(dataFolder)

  await t.test('nothing is judged before something was observed', async () => {
    await settle(dataFolder)
    const { findings, notes } = await adviceOn(deployment, conduitFile)
    assert.deepEqual(findings, [])
    assert.match(notes.join('\n'), /not enough observed yet: \d+ statements/)
  })

  await t.test('the untouched one needs nothing', async () => {
    await loadConduit(deployment.url, { rounds })
    const { findings, notes } = await adviceOn(deployment, conduitFile)
    assert.deepEqual(findings, [])
    assert.doesNotMatch(notes.join('\n'), /statements of intents|admin port/)
    const text = await command(deployment, 'advise', conduitFile)
    assert.match(text, /^nothing to mend/m)
    assert.match(text, /^binds: unexplained: too few requests: \d+ in 0\.\d s/m)
    assert.match(await command(deployment, 'advise', conduitFile, '--ledger'), /^no step has been proposed yet/)
  })

  await t.test('a load run is recorded with evidence, and advised on when it is over', async () => {
    const env = { ...process.env, PORT: new URL(deployment.url).port, TENFOLD_DATA: dataFolder, ADMIN_PORT: new URL(deployment.adminUrl).port, LOG_LEVEL: 'warn' }
    const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'load', '--app', conduitFile, '--users', '2', '--think', '0.01', '--mix', 'reader=1', '--for', '4s', '--json'], { cwd: root, env })
    const run = JSON.parse(stdout) as { evidence: { seconds: number; application: string; activity: { samples: number } } }
    assert.ok(run.evidence.seconds >= 4 && run.evidence.application === 'conduit' && run.evidence.activity.samples > 0)
    const file = path.join(dataFolder, 'run.json')
    await writeFile(file, stdout)
    const { diagnosis, evidence } = JSON.parse(await command(deployment, 'advise', conduitFile, '--json', '--load', file)) as { diagnosis: { verdict: string; little: { counted: number } }; evidence: { generator: { inFlight: number } | null } }
    assert.ok(diagnosis.little.counted > 0 && evidence.generator !== null, JSON.stringify(diagnosis))
    await writeFile(file, JSON.stringify({ ...JSON.parse(stdout) as object, evidence: null }))
    await assert.rejects(command(deployment, 'advise', conduitFile, '--load', file), /has no evidence: run 'tenfold load --json' with ADMIN_PORT/)
  })

  const copy = await plantedCopy()
  t.after(() => copy.remove())
  await deployment.end()
  deployment = await startDeployment({ dataFolder, appFile: copy.appFile })

  await t.test('two dropped indexes and a loop are found, and nothing else', async () => {
    for (const name of dropped) await sql(dataFolder, `DROP INDEX articles.${name}`)
    await settle(dataFolder)
    await loadConduit(deployment.url, { rounds, extra: ['/api/planted'] })
    const { findings } = await adviceOn(deployment, copy.appFile)
    assert.deepEqual(findings.map(one => one.kind).sort(), ['missing-index', 'missing-index', 'repeated-statement'], JSON.stringify(findings, null, 2))
    const lost = dropped.map(name => columnsOf(before.find(one => one.name === name)!.definition))
    for (const [position, { index, intents, evidence, migration }] of missing(findings).entries()) {
      // Equal in effect: what was dropped began with exactly these columns.
      assert.deepEqual(lost[position]!.slice(0, index!.columns.length), index!.columns)
      assert.ok(intents.includes('articles.list'), intents.join())
      assert.match(evidence.join('\n'), /\d+ calls, \d+ ms in all \(.* %.*\n.* on articles\./s)
      assert.match(migration!.file, /^000[34]-/)
      assert.match(migration!.sql, new RegExp(`^CREATE INDEX IF NOT EXISTS \\w+ ON ${index!.table} \\(`))
    }
    const loop = findings.find(one => one.kind === 'repeated-statement')!
    assert.deepEqual(loop.intents, ['articles.planted'])
    assert.match(loop.evidence[0]!, /^20\.0 times per call on average, at most 20/)
    assert.match(loop.mend, /one statement/)
  })

  await t.test('a proof measures both ways and leaves nothing behind', async () => {
    const names = (await indexesOf(dataFolder)).map(one => one.name)
    const proofs = missing((await adviceOn(deployment, copy.appFile, '--prove')).findings).map(one => one.proof)
    assert.equal(proofs.length, 2)
    for (const proof of proofs) assert.ok(proof && proof.used && !proof.kept, JSON.stringify(proof))
    // The first rows in an order, of a table that was read whole.
    assert.ok(proofs[0]!.pagesAfter < proofs[0]!.pagesBefore / 2, JSON.stringify(proofs[0]))
    assert.deepEqual((await indexesOf(dataFolder)).map(one => one.name), names)
  })

  await t.test('with the proposed indexes only the loop is left', async () => {
    const kept = missing((await adviceOn(deployment, copy.appFile, '--prove', '--keep')).findings).map(one => one.index!.name)
    const names = (await indexesOf(dataFolder)).map(one => one.name)
    for (const name of kept) assert.ok(names.includes(name), name)
    await settle(dataFolder)
    await loadConduit(deployment.url, { rounds, extra: ['/api/planted'] })
    assert.deepEqual((await adviceOn(deployment, copy.appFile)).findings.map(one => one.kind), ['repeated-statement'])
  })
})
