/**
 * The database driver on a primary with two replicas. In short what is about readers, positions
 * and faults; in soak the whole suite. Negative control: a driver that reads wherever it is
 * quickest must fail.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { databaseSchemas, databaseSuite } from '../../src/conformance/database.ts'
import type { DatabaseSubject } from '../../src/conformance/database.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { primaryServer } from '../../src/ports/database.ts'
import type { Database, Position } from '../../src/ports/database.ts'
import { startTestGroup, until } from '../support/postgres-group.ts'
import type { TestGroup } from '../support/postgres-group.ts'
import { forgetsSession } from '../conformance/broken/database.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
let servers: TestGroup
before(async () => { servers = await startTestGroup() }, { timeout: 120_000 })
after(() => servers.close())

const driver = (wrap = (database: Database): Database => database): Driver<DatabaseSubject> => ({
  name: 'postgres with replicas', faults: ['cut', 'lag'],
  async open() {
    const scratch = await servers.scratch()
    const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
    await database.open()
    await database.migrate(databaseSchemas)
    return {
      subject: {
        database: wrap(database), lag: () => servers.pause(),
        cut: async () => {
          for (const member of [servers.primary, ...servers.replicas]) {
            await servers.sql(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()`, [new URL(scratch.url).pathname.slice(1)], member)
          }
        },
      },
      async close() { await database.close(); await scratch.close() },
    }
  },
})

const isShort = (name: string) => isSoak || /reader|position|cut|acknowledged/.test(name)
for (const one of verify(databaseSuite, driver()).filter(({ name }) => isShort(name))) {
  test(one.name, { skip: one.skip, timeout: 120_000 }, () => one.run())
}

test('negative control: a driver that forgets what the session has seen fails', { timeout: 120_000 }, async () => {
  const check = 'a reader that would be behind waits a bounded time, and then reads at the primary'
  const cases = verify(databaseSuite, driver(forgetsSession)).filter(({ name }) => name.endsWith(check))
  assert.equal((await failures(cases)).length, 1)
})

test('while all are busy the primary reads too; not for a session that has seen something, and not while it has more to do', { timeout: 120_000 }, async t => {
  const { subject: { database }, close } = await driver().open()
  t.after(close)
  const sleeping = { text: 'SELECT pg_sleep(0.4)', values: [] }
  /** Where each of nine that overlap is read, by server. */
  const spread = async (after: readonly Position[]) => {
    const [where, running]: [string[], Promise<unknown>[]] = [[], []]
    for (let index = 0; index < 9; index++) {
      const reader = await database.reader('alpha', { after })
      where.push(reader.server)
      running.push(reader.query(sleeping))
    }
    await Promise.all(running)
    return Object.groupBy(where, one => one)
  }
  await until(async () => (await database.reader('alpha', { after: [] })).server !== primaryServer, 'a replica can be read')
  const anybody = await spread([])
  t.diagnostic(`read at ${Object.entries(anybody).map(([server, all]) => `${server} ${all!.length}`).join(', ')}`)
  assert.equal(Object.keys(anybody).length, 3)
  assert.ok(Object.values(anybody).every(all => all!.length >= 2))
  const seen = await database.position()
  await until(async () => (await database.reader('alpha', { after: [seen] })).server !== primaryServer, 'a replica shows it')
  assert.deepEqual((await spread([seen]))[primaryServer], undefined)
  const busy = Array.from({ length: 12 }, () => database.query('alpha', sleeping))
  assert.deepEqual((await spread([]))[primaryServer], undefined)
  await Promise.all(busy)
})
