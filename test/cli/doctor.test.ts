/** `tenfold doctor`: nothing wrong with a good deployment, and each planted fault is found, named and mended. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { now } from '../../src/base/time.ts'
import { examineDatabase } from '../../src/boot/database-examination.ts'
import type { Finding } from '../../src/boot/finding.ts'
import { findServer, inspectPostgres } from '../../src/drivers/postgres/examination.ts'
import type { PostgresFacts } from '../../src/drivers/postgres/examination.ts'
import { sharedCacheTopology } from '../topologies/shared-cache.ts'
import { conduitFile, startDeployment } from '../support/deployment.ts'
import { freePort } from '../support/free-port.ts'

const root = path.resolve(import.meta.dirname, '../..')

interface Report { readonly code: number; readonly ok: boolean; readonly findings: readonly Finding[]; readonly wrong: readonly string[] }

async function doctor(env: Readonly<Record<string, string>>, argv: readonly string[] = ['--app', conduitFile], cwd = root): Promise<Report> {
  const { code, stdout, stderr } = await new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
    execFile(process.execPath, [path.join(root, 'src/cli/main.ts'), 'doctor', '--json', ...argv], { cwd, env: { ...process.env, ...env } }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
  assert.notEqual(stdout, '', stderr)
  const report = JSON.parse(stdout) as { ok: boolean; findings: Finding[] }
  for (const one of report.findings) assert.equal(one.state === 'ok', one.mend === undefined, `${one.what}: a mend stands where something is not ok`)
  return { code, ...report, wrong: report.findings.filter(one => one.state === 'wrong').map(one => one.what) }
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-doctor-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

test('a living deployment: well, and with faults planted in it', async t => {
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  const env = { TENFOLD_DATA: deployment.dataFolder, PORT: new URL(deployment.url).port, ADMIN_PORT: new URL(deployment.adminUrl).port }
  const well = await doctor(env)
  assert.deepEqual([well.wrong, well.ok, well.code], [[], true, 0])
  const found = new Map(well.findings.map(one => [one.what, one.found]))
  assert.match(found.get('Postgres')!, /^18\./)
  assert.deepEqual(['fsync', 'synchronous_commit', 'wal_level', 'data_checksums'].map(name => found.get(name)), ['on', 'on', 'logical', 'on'])
  assert.match(found.get('process app/0')!, /^ready, pid \d+/)
  assert.match(found.get('migrations')!, /^all \d+ have run$/)

  const { url } = (await findServer(deployment.dataFolder))!
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const id = '01890000-0000-7000-8000-000000000001'
  await client.query(`INSERT INTO tenfold.parked (consumer, tx, seq, id, key, message, attempts, dead_at, error) VALUES ('articles.authors', '1', 1, $1, 'k', '{}', 5, now(), 'planted')`, [id])
  await client.query(`INSERT INTO tenfold.job (id, name, run_at, attempts_max, dead_at, error) VALUES ('planted', 'notifications.mail', now(), 1, now(), 'planted too')`)
  await client.query(`DELETE FROM tenfold.migration WHERE service = 'feed'`)
  await client.query(`UPDATE tenfold.migration SET checksum = 'other' WHERE service = 'accounts'`)
  await client.query('ALTER DATABASE postgres SET synchronous_commit = off')
  const ill = await doctor(env)
  assert.deepEqual([[...ill.wrong].sort(), ill.ok, ill.code], [['dead jobs', 'dead letters', 'migrations', 'migrations', 'synchronous_commit'], false, 1])
  const letters = ill.findings.find(one => one.what === 'dead letters')!
  assert.match(letters.found, /1 of articles\.authors \(planted\)/)
  // The mend does what it says.
  for (const what of ['dead letters', 'dead jobs']) await client.query(/UPDATE.*/.exec(ill.findings.find(one => one.what === what)!.mend!)![0])
  assert.equal((await client.query('SELECT FROM tenfold.parked WHERE dead_at IS NOT NULL UNION ALL SELECT FROM tenfold.job WHERE dead_at IS NOT NULL')).rowCount, 0)
  await client.end()
  // With the ports of another deployment it says that it cannot see this one.
  assert.ok((await doctor({ ...env, ADMIN_PORT: String(await freePort()) })).wrong.includes('processes'))
})

test('a machine without a deployment', async t => {
  const folder = await folderOf(t)
  const port = await freePort()
  const env = { PORT: String(port), ADMIN_PORT: String(await freePort()) }
  const none = await doctor({ ...env, TENFOLD_DATA: path.join(folder, 'new/data') }, [], folder)
  assert.deepEqual([none.wrong, none.code], [[], 0])
  assert.ok(none.findings.some(one => one.what === 'application' && one.state === 'note'))

  const blocker = net.createServer().listen(port, '127.0.0.1')
  t.after(() => blocker.close())
  await writeFile(path.join(folder, 'file'), '')
  const data = path.join(folder, 'data')
  await mkdir(data)
  const tomorrow = new Date(now() + 86_400_000)
  await writeFile(path.join(data, 'tenfold.pid'), '{"pid":1,"started":"another boot 1"}')
  await utimes(path.join(data, 'tenfold.pid'), tomorrow, tomorrow)
  assert.deepEqual((await doctor({ ...env, TENFOLD_DATA: data }, [], folder)).wrong, ['clock', `port ${port}`], 'the file of a dead supervisor is no deployment')
  assert.ok((await doctor({ ...env, TENFOLD_DATA: path.join(folder, 'file') }, [], folder)).wrong.includes('data folder'))
  await writeFile(path.join(folder, 'app.ts'), 'export const app = {')
  const broken = await doctor({ ...env, TENFOLD_DATA: data }, [], folder)
  assert.ok(broken.wrong.includes('application'))
})

test('a topology with a Redis on a machine that has none', async t => {
  const folder = await folderOf(t)
  const topology = path.join(folder, 'shared-cache.ts')
  await writeFile(topology, `export default ${JSON.stringify(sharedCacheTopology(20))}\n`)
  const env = { TENFOLD_DATA: path.join(folder, 'data'), PORT: String(await freePort()), ADMIN_PORT: String(await freePort()) }
  const redisIn = ({ findings }: Report) => findings.find(one => one.what === 'Redis')
  const bare = redisIn(await doctor({ ...env, PATH: folder }, ['--app', conduitFile, '--topology', topology]))
  assert.equal(bare?.state, 'wrong')
  assert.match(bare.mend!, /apt-get install redis-server/)
  assert.equal(redisIn(await doctor(env)), undefined, 'topology 1 needs none')
})

const good: PostgresFacts = {
  version: '18.4', versionNumber: 180_004, settings: { fsync: 'on', synchronous_commit: 'on', full_page_writes: 'on', wal_level: 'logical', data_checksums: 'on' },
  connections: { used: 10, max: 100 }, oldestTransaction: null, clock: { aheadMs: 3, exactMs: 1 }, replication: { following: [], guard: '', idleSlots: [] },
  runtime: { migrations: [], ownPending: 0, consumers: { a: { waiting: 0, oldestAgeMs: 0, parked: 0, dead: 0 } }, deadLetters: [], deadJobs: [], jobs: { due: 0, oldestAgeMs: 0 } },
}

test('what a test cannot make a Postgres do', () => {
  const wrong = (facts: Partial<PostgresFacts>, isServing = true) => examineDatabase({ ...good, ...facts }, [], isServing).filter(one => one.state === 'wrong').map(one => one.what)
  const runtime = (facts: Partial<NonNullable<PostgresFacts['runtime']>>) => ({ runtime: { ...good.runtime!, ...facts } })
  assert.deepEqual(wrong({}), [])
  assert.deepEqual(wrong({ versionNumber: 160_002 }), ['Postgres'])
  assert.deepEqual(wrong({ settings: { ...good.settings, fsync: 'off', full_page_writes: 'off' } }), ['fsync', 'full_page_writes'])
  assert.deepEqual(wrong({ connections: { used: 95, max: 100 } }), ['connections'])
  assert.deepEqual(wrong({ oldestTransaction: { pid: 1, ageMs: 60_000 } }), ['transactions'])
  assert.deepEqual(wrong({ clock: { aheadMs: -5_000, exactMs: 10 } }), ['clock of Postgres'])
  assert.deepEqual(wrong({ clock: { aheadMs: 5_000, exactMs: 9_000 } }), [], 'a slow answer says little about the clock')
  const behind = runtime({ consumers: { a: { waiting: 9, oldestAgeMs: 60_000, parked: 0, dead: 0 } }, jobs: { due: 3, oldestAgeMs: 60_000 } })
  assert.deepEqual(wrong(behind), ['events', 'jobs'])
  assert.deepEqual(wrong(behind, false), [], 'what waits while nothing runs is not late')
  assert.deepEqual(wrong({ runtime: null }), ['migrations'])
  const follower = { name: 'tenfold_1', lagBytes: 0, confirms: true }
  const replicas = (replication: PostgresFacts['replication']) => examineDatabase({ ...good, replication }, [], true, 1).filter(one => one.state === 'wrong').map(one => one.what)
  const guard = 'ANY 1 ("tenfold_1")'
  assert.deepEqual(replicas({ following: [follower], guard, idleSlots: [] }), [])
  assert.deepEqual(replicas({ following: [], guard, idleSlots: ['tenfold_1'] }), ['replicas', 'commits'])
  assert.deepEqual(replicas({ following: [{ ...follower, lagBytes: 1e9 }], guard, idleSlots: [] }), ['replicas'])
})

test('a server that cannot be asked', async () => {
  await assert.rejects(inspectPostgres(`postgres://postgres:x@127.0.0.1:${await freePort()}/postgres`, {}))
  assert.equal(await findServer(path.join(os.tmpdir(), 'tenfold-doctor-none')), null)
})
