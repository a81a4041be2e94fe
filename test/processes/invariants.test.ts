/**
 * What was right in one process is right in many: on an application whose effects can be
 * counted, with two processes for requests and two in the background, started at once on
 * an empty database. And a deploy: of code that works, and of code that does not.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import pg from 'pg'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import twoProcesses from '../topologies/two-processes.ts'

const root = path.resolve(import.meta.dirname, '../..')
const tables = ['tick', 'entry', 'effect', 'reader']
const migration = tables.map(table => `CREATE TABLE ${table} (bucket smallint NOT NULL, id uuid NOT NULL${table === 'tick' ? '' : ', name text NOT NULL'}, PRIMARY KEY (bucket, id));`).join('\n')

/** Inside the checkout, so that the package finds itself by its name. */
async function makeApplication(): Promise<{ folder: string; appFile: string; topology: string }> {
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  const folder = await mkdtemp(path.join(root, '.tenfold/tally-'))
  const [appFile, topology] = [path.join(folder, 'app.ts'), path.join(folder, 'four.ts')]
  await cp(path.join(import.meta.dirname, 'tally.ts'), appFile)
  await mkdir(path.join(folder, 'migrations'))
  await writeFile(path.join(folder, 'migrations/0001-tally.sql'), migration)
  const { web, worker } = twoProcesses.processes
  await writeFile(topology, `export default ${JSON.stringify({ ...twoProcesses, processes: { web, worker: { ...worker, replicas: 2 } } })}\n`)
  return { folder, appFile, topology }
}

async function connect({ dataFolder }: TestDeployment): Promise<pg.Client> {
  const folder = path.join(dataFolder, 'postgres')
  const port = Number((await readFile(path.join(folder, 'cluster/postmaster.pid'), 'utf8')).split('\n')[3])
  const password = (await readFile(path.join(folder, 'postgres.password'), 'utf8').catch(() => readFile(path.join(folder, 'password'), 'utf8'))).trim()
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password })
  await client.connect()
  return client
}

/** A connection of its own for each request, so that they come to all processes. */
function enter(url: string, input: { name: string; unique?: string }, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`${url}/entries`, { method: 'POST', body: JSON.stringify(input), headers: { 'content-type': 'application/json', connection: 'close', ...headers } })
}

async function restart({ adminUrl, dataFolder }: TestDeployment): Promise<string> {
  const env = { ...process.env, ADMIN_PORT: new URL(adminUrl).port, TENFOLD_DATA: dataFolder }
  return promisify(execFile)(process.execPath, ['src/cli/main.ts', 'restart'], { cwd: root, env }).then(({ stdout }) => stdout, (error: { stderr: string }) => error.stderr)
}

const versions = async (url: string) => [...new Set(await Promise.all(Array.from({ length: 8 }, async () =>
  (await (await fetch(`${url}/version`, { headers: { connection: 'close' } })).json() as { version: string }).version)))]

test('four processes on one database', async t => {
  const { folder, appFile, topology } = await makeApplication()
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  // Four processes migrate the empty database at once.
  const deployment = await startDeployment({ appFile, topology })
  t.after(() => deployment.close())
  const client = await connect(deployment)
  const count = async (sql: string, values: unknown[] = []) => Number((await client.query<{ count: string }>(`SELECT count(*) ${sql}`, values)).rows[0]!.count)
  const until = async (what: string, holds: () => Promise<boolean>) => {
    for (const startMs = monotonicMs(); !await holds(); await sleep(50)) assert.ok(monotonicMs() - startMs < 60_000, what)
  }

  await t.test('migrations raced by all processes ran once', async () => {
    assert.equal(await count(`FROM tenfold.migration WHERE service = 'tally'`), 1)
    assert.doesNotMatch(deployment.output(), /has ended unasked/)
  })

  await t.test('one idempotency key, many processes: one effect', async () => {
    const key = randomUUID()
    const replies = await Promise.all(Array.from({ length: 12 }, () => enter(deployment.url, { name: 'once' }, { 'idempotency-key': key })))
    const ids = new Set(await Promise.all(replies.filter(one => one.status === 201).map(async one => (await one.json() as { id: string }).id)))
    assert.ok(replies.every(one => [201, 409].includes(one.status)), replies.map(one => one.status).join(' '))
    assert.deepEqual([ids.size, await count(`FROM tally.entry WHERE name = 'once'`)], [1, 1])
  })

  await t.test('one claim, many processes: one owner', async () => {
    const statuses = await Promise.all(Array.from({ length: 12 }, async (_, index) => (await enter(deployment.url, { name: `claimer ${index}`, unique: 'mine' })).status))
    assert.deepEqual(statuses.sort(), [201, ...Array.from({ length: 11 }, () => 409)])
  })

  await t.test('jobs and events have their effect once', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `many ${index}`)
    await Promise.all(names.map(name => enter(deployment.url, { name })))
    for (const table of ['effect', 'reader']) {
      await until(`every ${table} is there`, async () => await count(`FROM tally.${table} WHERE name = ANY ($1)`, [names]) >= names.length)
      assert.equal(await count(`FROM tally.${table} WHERE name = ANY ($1)`, [names]), names.length)
    }
  })

  await t.test('each consumer is led by one process', async () => {
    const { rows } = await client.query<{ name: string; waiting: number; held: number }>(`
      SELECT application_name AS name, count(DISTINCT a.pid)::int AS waiting, count(l.pid)::int AS held
      FROM pg_stat_activity a LEFT JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted
      WHERE application_name IN ('tenfold tally.seen', 'tenfold tenfold.jobs') GROUP BY 1 ORDER BY 1`)
    assert.deepEqual(rows, [{ name: 'tenfold tally.seen', waiting: 2, held: 1 }, { name: 'tenfold tenfold.jobs', waiting: 2, held: 1 }])
  })

  await t.test('a schedule fires once a slot, whoever is there', async () => {
    const fired = `FROM tenfold.outbox WHERE name = 'tally.everySecond'`
    await until('five slots', async () => await count(fired) >= 5)
    const { rows } = await client.query<{ fired: number; slots: number }>(`SELECT count(*)::int AS fired, count(DISTINCT at)::int AS slots ${fired}`)
    assert.equal(rows[0]!.fired, rows[0]!.slots)
    await until('their ticks', async () => await count('FROM tally.tick') >= rows[0]!.fired)
    const [ticks, slots] = [await count('FROM tally.tick'), await count(fired)]
    assert.ok(ticks <= slots, `${ticks} ticks in ${slots} slots`)
  })

  await t.test('a rate is counted together, told, and refused with 429', async () => {
    const replies = await Promise.all(Array.from({ length: 24 }, () => fetch(`${deployment.url}/rated`, { headers: { connection: 'close' } })))
    const of = (status: number) => replies.filter(one => one.status === status)
    assert.deepEqual([of(200).length, of(429).length], [10, 14])
    const remaining = of(200).map(one => Number(/;r=(\d+)/.exec(one.headers.get('ratelimit')!)![1])).sort((a, b) => a - b)
    assert.deepEqual(remaining, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    const [refused] = of(429)
    assert.equal(refused!.headers.get('ratelimit-policy'), '"tally.rated";q=10;w=3600')
    assert.ok(Number(refused!.headers.get('retry-after')) > 300, refused!.headers.get('retry-after')!)
    assert.match(await refused!.text(), /rate-limited.*the next one passes in 3\d\d s/)
  })

  await t.test('a deploy of broken code leaves what runs, and says why', async () => {
    const source = await readFile(appFile, 'utf8')
    const before = await (await fetch(`${deployment.adminUrl}/status`)).text()
    await writeFile(appFile, `${source}\nthrow new Error('this was never tried')\n`)
    assert.match(await restart(deployment), /the process web \(replica 0\) did not become ready.*this was never tried/)
    assert.equal(await (await fetch(`${deployment.adminUrl}/status`)).text(), before)
    await writeFile(appFile, `${source}\nconst = 1\n`)
    assert.match(await restart(deployment), /app\.ts/)
    assert.deepEqual(await versions(deployment.url), ['version 1'])
    await writeFile(appFile, source.replace('version 1', 'version 2'))
    assert.match(await restart(deployment), /web 0 is now process \d+/)
    assert.deepEqual(await versions(deployment.url), ['version 2'])
  })
  await client.end()
})
