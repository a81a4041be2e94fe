/**
 * A primary with two replicas, kept by Tenfold: made, followed, restarted, adopted; one of
 * them promoted under writers; the primary of before refused, and made anew.
 *
 * Negative controls: without a replica that commits wait for, a promotion loses what was
 * acknowledged; a copy that differs from its manifest is found out.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { databaseSchemas } from '../../src/conformance/database.ts'
import { compare } from '../../src/drivers/postgres/base-backup.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { writeGroupState } from '../../src/drivers/postgres/group-state.ts'
import { prepareServerFiles } from '../../src/drivers/postgres/server-files.ts'
import { makeReplica } from '../../src/drivers/postgres/server-replica.ts'
import type { Member } from '../../src/drivers/postgres/server-member.ts'
import type { Database, Position, Reader } from '../../src/ports/database.ts'
import { startTestGroup, until } from '../support/postgres-group.ts'
import type { TestGroup } from '../support/postgres-group.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const acknowledgedMin = isSoak ? 10_000 : 600
const rounds = isSoak ? 5 : 1
const writers = 8
const timeout = 240_000

let servers: TestGroup
before(async () => { servers = await startTestGroup() }, { timeout })
after(() => servers.close())

const kill = (member: Member) => process.kill(member.server!.pid!, 'SIGKILL')
const followsAgain = (member: Member, pid: number | null) => until(async () => member.server !== null && member.server.pid !== null && member.server.pid !== pid && (await member.received()) !== null, 'the replica runs again')

async function openDatabase(url: string): Promise<Database> {
  const database = openPostgresDatabase({ url, log: silentLogger })
  await database.open()
  await database.migrate(databaseSchemas)
  return database
}

const insert = (database: Database, id: string) => database.transaction({ service: 'alpha', bucket: 1, deadlineMonotonicMs: monotonicMs() + 9_000 }, transaction =>
  transaction.query({ text: 'INSERT INTO item (bucket, id) VALUES ($1, $2) ON CONFLICT DO NOTHING', values: [1, id] }))

/** Ids that were acknowledged, each repeated until it was. */
class Ledger {
  readonly acknowledged = new Set<string>()
  lastAtMs = 0

  async write(database: Database, lane: number, signal: AbortSignal): Promise<void> {
    for (let number = 0; !signal.aborted; number++) {
      const id = `${lane}-${number}-${monotonicMs()}`
      while (!signal.aborted) {
        const isDone = await insert(database, id).then(() => true, (error: unknown) => {
          if (!isTenfoldError(error)) throw error
          return false
        })
        if (isDone) {
          this.acknowledged.add(id)
          this.lastAtMs = monotonicMs()
          break
        }
        await sleep(5)
      }
    }
  }

  async lost(query: (text: string) => Promise<{ id: string }[]>): Promise<string[]> {
    const found = new Set((await query('SELECT id FROM alpha.item')).map(({ id }) => id))
    return [...this.acknowledged].filter(id => !found.has(id))
  }
}

test('replicas are made, follow, and survive a restart of themselves and of the primary', { timeout }, async () => {
  assert.deepEqual(servers.replicas.map(member => member.name), ['tenfold_1', 'tenfold_2'])
  await servers.sql('CREATE TABLE followed (id int); INSERT INTO followed SELECT generate_series(1, 1000)')
  const rows = (member: Member) => servers.sql<{ count: number }>(`SELECT count(*)::int AS count FROM followed`, [], member).then(found => found[0]!.count, () => -1)
  for (const member of servers.replicas) await until(async () => await rows(member) === 1_000, 'the rows are on the replica')
  const [first] = servers.replicas
  const { pid } = first!.server!
  kill(first!)
  await followsAgain(first!, pid)
  await servers.following(2)
  await servers.sql('INSERT INTO followed VALUES (0)')
  for (const member of servers.replicas) await until(async () => await rows(member) === 1_001, 'it follows again')
  // Stopped for good and started: the same servers, nothing copied.
  const made = first!.files.cluster
  const born = await servers.sql<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()', [], first!)
  await servers.group.stop()
  servers = await startTestGroup({ dataFolder: servers.folder })
  await servers.following(2)
  assert.equal(servers.replicas[0]!.files.cluster, made)
  assert.deepEqual(await servers.sql('SELECT system_identifier::text AS id FROM pg_control_system()', [], servers.replicas[0]!), born)
  await servers.sql('INSERT INTO followed VALUES (-1)')
  for (const member of servers.replicas) await until(async () => await rows(member) === 1_002, 'it follows after a start')
})

test('a keeper that dies leaves them running, and the next one adopts them', { timeout }, async () => {
  const pids = servers.group.members.map(member => member.server!.pid)
  servers.group.detach()
  servers = await startTestGroup({ dataFolder: servers.folder })
  assert.ok(servers.group.adopted)
  assert.deepEqual(servers.group.members.map(member => member.server!.pid), pids)
})

test('a commit that no replica confirms has an unknown outcome', { timeout }, async () => {
  const scratch = await servers.scratch()
  const database = await openDatabase(scratch.url)
  const { members } = servers.group
  servers.group.detach()
  for (const member of servers.replicas) await member.server!.stop()
  try {
    const outcome = insert(database, 'alone').then(() => 'acknowledged', (error: unknown) => isTenfoldError(error) ? error.code : String(error))
    // Somebody who does not want to wait: Postgres answers COMMIT as if all were well, with a warning.
    await until(async () => (await servers.sql(`SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'`)).length > 0, 'the commit waits')
    assert.equal(await outcome, 'OUTCOME_UNKNOWN')
  } finally {
    servers = await startTestGroup({ dataFolder: servers.folder })
    await servers.following(members.length - 1)
  }
  await insert(database, 'together')
  await database.close()
  await scratch.close()
})

test('what a replica has shown is not unseen at the primary, where its commit still waits', { timeout }, async () => {
  const scratch = await servers.scratch()
  const database = await openDatabase(scratch.url)
  await insert(database, 'first')
  await servers.sql(`ALTER SYSTEM SET synchronous_standby_names = 'nobody'`)
  await servers.sql('SELECT pg_reload_conf()')
  await until(async () => (await servers.sql<{ names: string }>(`SELECT current_setting('synchronous_standby_names') AS names`))[0]!.names === 'nobody', 'commits wait')
  const waiting = insert(database, 'second').catch(() => {})
  const rows = async (reader: Reader) => (await reader.query({ text: 'SELECT id FROM item', values: [] })).rows.length
  try {
    let seen: Position | undefined
    await until(async () => {
      const reader = await database.reader('alpha', { after: [] })
      const found = await rows(reader)
      if (found === 2) seen = await reader.shown()
      return found === 2
    }, 'a replica shows it')
    assert.equal((await database.query('alpha', { text: 'SELECT id FROM item', values: [] })).rows.length, 1, 'negative control: the primary alone does not')
    // Beyond what any replica has, so that the primary would have to answer.
    const beyond = { ...seen!, lsn: seen!.lsn + 1_000_000n }
    await assert.rejects(async () => rows(await database.reader('alpha', { after: [beyond] })), error => isTenfoldError(error) && error.code === 'PROJECTION_BEHIND')
  } finally {
    await servers.sql('ALTER SYSTEM RESET synchronous_standby_names')
    await servers.sql('SELECT pg_reload_conf()')
  }
  await waiting
  const { timeline, shard, lsn } = await database.position()
  assert.equal(await rows(await database.reader('alpha', { after: [{ timeline, shard, lsn: lsn + 1_000_000n }] })), 2)
  await database.close()
  await scratch.close()
})

test(`a replica is promoted under ${writers} writers: nothing acknowledged is lost, and the old primary becomes a replica`, { timeout: rounds * timeout }, async t => {
  const database = await openDatabase(servers.group.url)
  const ledger = new Ledger()
  const stopping = new AbortController()
  const writing = Array.from({ length: writers }, (_, lane) => ledger.write(database, lane, stopping.signal))
  const enough = (count: number) => until(() => ledger.acknowledged.size >= count, `${count} writes`, timeout)
  try {
    for (let round = 0; round < rounds; round++) {
      await servers.following(2)
      // Commits wait for either again.
      await until(async () => (await servers.sql<{ names: string }>(`SELECT current_setting('synchronous_standby_names') AS names`))[0]!.names.split(',').length === 2, 'both may confirm')
      await enough(Math.ceil((round + 0.5) * acknowledgedMin / rounds))
      const old = servers.primary
      const { epoch } = servers.group.state
      const killedMs = monotonicMs()
      kill(old)
      await until(() => servers.group.state.epoch > epoch && ledger.lastAtMs > killedMs, 'a replica is promoted')
      const before = ledger.acknowledged.size
      await until(() => ledger.acknowledged.size > before + writers, 'writes are acknowledged again')
      t.diagnostic(`round ${round + 1}: writes again ${Math.round(monotonicMs() - killedMs)} ms after the kill`)
      assert.notEqual(servers.primary, old)
      await enough(Math.ceil((round + 1) * acknowledgedMin / rounds))
      await until(async () => old.server !== null && await old.isStandby() && (await old.received()) !== null, 'the old primary is a replica')
    }
  } finally {
    stopping.abort()
    await Promise.all(writing)
  }
  t.diagnostic(`${ledger.acknowledged.size} acknowledged writes`)
  assert.deepEqual(await ledger.lost(text => servers.sql(text)), [])
  await database.close()
})

test('whoever promotes a replica: writes go there, and the primary of before is refused although it still runs', { timeout }, async () => {
  const database = await openDatabase(servers.group.url)
  await insert(database, 'before')
  const [next] = servers.replicas
  const old = servers.primary
  const { timeline } = await database.position()
  servers.group.detach()
  await servers.sql('SELECT pg_promote(false)', [], next!)
  await until(async () => (await servers.sql<{ standby: boolean }>('SELECT pg_is_in_recovery() AS standby', [], next!))[0]!.standby === false, 'it is promoted')
  await servers.sql(`ALTER SYSTEM SET synchronous_standby_names = ''`, [], next!)
  await servers.sql('SELECT pg_reload_conf()', [], next!)
  await until(async () => (await database.position()).timeline > timeline, 'the new primary is found')
  await insert(database, 'behind')
  assert.equal((await servers.sql(`SELECT 1 FROM alpha.item WHERE id = 'behind'`, [], next!)).length, 1)
  assert.equal((await servers.sql(`SELECT 1 FROM alpha.item WHERE id = 'behind'`, [], old)).length, 0, 'the old primary was written to')
  // A session that has seen a later timeline still is not written for here.
  await assert.rejects(database.transaction({ service: 'alpha', bucket: 1, deadlineMonotonicMs: monotonicMs() + 9_000, after: [{ shard: 0, timeline: timeline + 50, lsn: 0n }] }, async () => {}), error => isTenfoldError(error) && error.code === 'UNAVAILABLE')
  await database.close()
  // The keeper that comes back has not promoted anything: it makes the other one anew.
  await servers.sql('ALTER SYSTEM RESET synchronous_standby_names', [], next!)
  await writeGroupState(servers.folder, { epoch: servers.group.state.epoch + 1, primary: next!.index })
  servers = await startTestGroup({ dataFolder: servers.folder })
  await servers.following(2)
  assert.equal(await old.isStandby(), true)
})

test('a promotion that was cut short after it was decided is finished at the next start', { timeout }, async () => {
  const [next] = servers.replicas
  const old = servers.primary
  await servers.sql('CREATE TABLE kept (id int)')
  await servers.group.stop()
  await writeGroupState(servers.folder, { epoch: servers.group.state.epoch + 1, primary: next!.index })
  servers = await startTestGroup({ dataFolder: servers.folder })
  assert.equal(servers.primary.index, next!.index)
  await servers.sql('INSERT INTO kept VALUES (1)')
  await servers.following(2)
  assert.equal(await old.isStandby(), true)
})

test('negative control: without a replica that commits wait for, a promotion loses what was acknowledged, and so none is made', { timeout }, async () => {
  const alone = await startTestGroup({ replicas: 1, synchronous: 0, attachMs: timeout })
  try {
    const { primary, replicas: [replica] } = alone
    await alone.sql('CREATE TABLE written (id int)')
    await alone.following(1)
    await until(async () => (await alone.sql('SELECT 1 FROM written', [], replica!).then(() => true, () => false)), 'the replica has the table')
    // It outlasts what its keeper writes.
    await alone.sql(`ALTER SYSTEM SET primary_conninfo = ''`, [], replica!)
    await alone.sql('SELECT pg_reload_conf()', [], replica!)
    await until(async () => (await alone.sql('SELECT 1 FROM pg_stat_wal_receiver', [], replica!)).length === 0, 'the replica hears nothing')
    await alone.sql('INSERT INTO written VALUES (1)')
    const { pid } = primary.server!
    kill(primary)
    await until(async () => primary.server !== null && primary.server.pid !== null && primary.server.pid !== pid && (await alone.sql('SELECT 1').then(() => true, () => false)), 'the primary runs again')
    assert.deepEqual([alone.group.state.epoch, await alone.sql('SELECT id FROM written')], [0, [{ id: 1 }]])
    await alone.group.stop()
    const bold = await startTestGroup({ dataFolder: alone.folder, replicas: 1, synchronous: 0, promotes: 'always', attachMs: timeout })
    assert.deepEqual(await bold.sql(`SELECT 1 FROM pg_stat_wal_receiver`, [], bold.replicas[0]!), [])
    await bold.sql('INSERT INTO written VALUES (2)')
    kill(bold.primary)
    await until(() => bold.group.state.epoch === 1, 'it is promoted all the same')
    await until(async () => (await bold.sql('SELECT 1').then(() => true, () => false)), 'it answers')
    assert.equal((await bold.sql('SELECT id FROM written WHERE id = 2')).length, 0, 'the test cannot see what it is for')
    await bold.close()
  } finally {
    await rm(alone.folder, { recursive: true, force: true, maxRetries: 5 })
  }
})

test('a copy that differs from its manifest, or cannot be made, leaves nothing behind', { timeout }, async t => {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const listed = `{ "Files": [{ "Path": "a", "Size": 3, "Checksum": "${sha256('abc')}" }],\n`
  const manifest = (text: string) => Buffer.from(`${text}"Manifest-Checksum": "${sha256(text)}"}\n`)
  const found = (text: string) => new Map([['a', { bytes: text.length, sha256: sha256(text) }]])
  compare(manifest(listed), found('abc'))
  assert.throws(() => compare(manifest(listed), found('abd')), /a differs/)
  assert.throws(() => compare(manifest(listed), new Map()), /a is missing/)
  assert.throws(() => compare(Buffer.from(manifest(listed).toString().replace('"Size": 3', '"Size": 4')), found('abc')), /manifest is damaged/)

  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-copy-'))
  await chmod(folder, 0o755)
  t.after(() => rm(folder, { recursive: true, force: true }))
  const files = await prepareServerFiles(folder, silentLogger)
  if (files.socketFolder) t.after(() => rm(files.socketFolder!, { recursive: true, force: true }))
  const address = servers.primary.addressWith(decodeURIComponent(new URL(servers.group.url).password))
  const copying = makeReplica(files, 'cut_short', address, silentLogger)
  await until(async () => (await servers.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_replication WHERE application_name = 'tenfold backup' AND state = 'backup'`)).length > 0, 'the copy is under way')
  await assert.rejects(copying, isTenfoldError)
  assert.ok(!existsSync(files.cluster) && !existsSync(`${files.cluster}.draft`))
  assert.deepEqual(await servers.sql(`SELECT 1 FROM pg_replication_slots WHERE slot_name = 'cut_short'`), [])
})
