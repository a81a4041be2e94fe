/** The database, lease and rate drivers on a real Postgres: their suites, and what only Postgres can be asked. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs } from '../../src/base/time.ts'
import { verify } from '../../src/conformance/check.ts'
import { databaseSchemas, databaseSuite } from '../../src/conformance/database.ts'
import { leaseSuite } from '../../src/conformance/lease.ts'
import { rateSuite } from '../../src/conformance/rate.ts'
import { sessionSuite } from '../../src/conformance/session.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import type { Migration, ServiceSchema } from '../../src/ports/database.ts'
import { scratchPostgres } from '../support/postgres.ts'
import { databaseDriver, leaseDriver, rateDriver, sessionDriver } from '../support/postgres-drivers.ts'

for (const one of [...verify(databaseSuite, databaseDriver()), ...verify(leaseSuite, leaseDriver()), ...verify(rateSuite, rateDriver), ...verify(sessionSuite, sessionDriver)]) {
  test(one.name, { skip: one.skip, timeout: 60_000 }, () => one.run())
}

const migration = (number: number, sql: string): Migration => ({ number, name: `000${number}-a.sql`, sql, checksum: `${number}:${sql}` })
const service = (migrations: Migration[], reference: string[] = []): ServiceSchema[] => [{ service: 'gamma', migrations, reference }]

async function fresh() {
  const scratch = await scratchPostgres()
  const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
  await database.open()
  return { scratch, database, async [Symbol.asyncDispose]() { await database.close(); await scratch.close() } }
}

const isMigrationFault = (pattern: RegExp) => (error: unknown) => isTenfoldError(error) && error.code === 'MIGRATION_FAULT' && pattern.test(error.message)

test('an edited, a missing and a failing migration are refused by name', async () => {
  await using one = await fresh()
  const table = migration(1, 'CREATE TABLE t (bucket smallint NOT NULL, id text, PRIMARY KEY (bucket, id))')
  await one.database.migrate(service([table]))
  await assert.rejects(one.database.migrate(service([{ ...table, checksum: 'edited' }])), isMigrationFault(/0001-a\.sql/))
  await assert.rejects(one.database.migrate(service([])), isMigrationFault(/0001-a\.sql/))
  await assert.rejects(one.database.migrate(service([table, migration(2, 'CREATE TABLE kept (id int); SELECT 1/0')])), isMigrationFault(/0002-a\.sql/))
  assert.deepEqual(await one.scratch.sql(`SELECT 1 FROM pg_class WHERE relname = 'kept'`), [])
})

test('another number of buckets is refused', async () => {
  await using one = await fresh()
  await one.database.migrate(service([]))
  await one.scratch.sql(`UPDATE tenfold.meta SET value = '1024' WHERE name = 'buckets'`)
  await assert.rejects(one.database.migrate(service([])), isMigrationFault(/1024/))
})

test('tables that break the key rules are named with a mend', async () => {
  await using one = await fresh()
  const { tables } = await one.database.migrate(service([migration(1, `
    CREATE TABLE fine (bucket smallint NOT NULL, id text, PRIMARY KEY (bucket, id));
    CREATE TABLE small (name text PRIMARY KEY);
    CREATE TABLE plain (id text PRIMARY KEY);
    CREATE TABLE wide (bucket smallint NOT NULL, id text, slug text UNIQUE, PRIMARY KEY (bucket, id));
    CREATE TABLE counted (bucket smallint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (bucket, id));`)], ['small']))
  const faulty = tables.gamma!.filter(table => table.faults.length > 0).map(table => table.table).sort()
  assert.deepEqual(faulty, ['counted', 'plain', 'wide'])
})

test('migrating with nothing to do reports the tables and runs no DDL', async () => {
  await using one = await fresh()
  const first = await one.database.migrate(databaseSchemas)
  const tuples = () => one.scratch.sql(`SELECT oid, xmin::text FROM pg_class WHERE relnamespace IN ('tenfold'::regnamespace, 'alpha'::regnamespace) ORDER BY oid`)
  const before = await tuples()
  assert.deepEqual(await one.database.migrate(databaseSchemas), { applied: [], tables: first.tables })
  assert.deepEqual(await tuples(), before)
})

test('prune takes what is old, in small transactions, and only what every consumer has read', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const fill = (columns: string, values: string) => one.scratch.sql(`INSERT INTO tenfold.${columns}
    SELECT ${values}, now() - CASE WHEN n <= 2500 THEN interval '30 days' ELSE interval '1 minute' END FROM generate_series(1, 2510) AS n`)
  await fill('inbox (bucket, service, consumer, id, at)', `1, 'alpha', 'c', gen_random_uuid()`)
  await fill('idempotency (bucket, service, scope, key, fingerprint, answer, at)', `1, 'alpha', 's', n::text, 'f', '{}'`)
  await fill('outbox (bucket, id, kind, name, key, payload, at)', `1, gen_random_uuid(), 'event', 'alpha.x', 'k', '{}'`)
  assert.equal(await one.database.prune([]), 5_000, 'nobody has read the outbox')
  await one.scratch.sql(`INSERT INTO tenfold.cursor (consumer, tx, seq) SELECT 'one', tx, seq FROM tenfold.outbox ORDER BY tx, seq OFFSET 1199 LIMIT 1`)
  assert.equal(await one.database.prune([]), 1_200)
  await one.scratch.sql(`UPDATE tenfold.cursor SET tx = '18446744073709551615'`)
  assert.equal(await one.database.prune([]), 1_300)
  assert.equal(await one.database.prune([]), 0)
})

test('a consumer that the application no longer has holds the outbox for a week, one that it has for ever', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  await one.scratch.sql(`INSERT INTO tenfold.outbox (bucket, id, kind, name, key, payload, at) SELECT 1, gen_random_uuid(), 'event', 'alpha.x', 'k', '{}', now() - interval '30 days' FROM generate_series(1, 10)`)
  await one.scratch.sql(`INSERT INTO tenfold.cursor (consumer, tx, updated_at) VALUES ('gone', '0', now() - interval '6 days'), ('here', '18446744073709551615', now() - interval '30 days')`)
  const left = async () => (await one.scratch.sql<{ consumer: string }>('SELECT consumer FROM tenfold.cursor ORDER BY consumer')).map(({ consumer }) => consumer)
  assert.deepEqual([await one.database.prune(['here']), await left()], [0, ['gone', 'here']])
  await one.scratch.sql(`UPDATE tenfold.cursor SET updated_at = now() - interval '8 days' WHERE consumer = 'gone'`)
  assert.deepEqual([await one.database.prune(['gone', 'here']), await left()], [0, ['gone', 'here']], 'slow is not gone')
  assert.deepEqual([await one.database.prune(['here']), await left()], [10, ['here']])
})

test('a process opens no more connections than it is told', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const few = openPostgresDatabase({ url: one.scratch.url, log: silentLogger, readersMax: 1, writersMax: 2 })
  const scope = { service: 'alpha', bucket: 1, deadlineMonotonicMs: monotonicMs() + 20_000 }
  const sleeping = { text: 'SELECT pg_sleep(0.05)', values: [] }
  const open = one.scratch.sql<{ n: number }>
  const count = () => open(`SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'tenfold_alpha%'`)
  const work = Promise.all(Array.from({ length: 12 }, () => [few.query('alpha', sleeping), few.transaction(scope, transaction => transaction.query(sleeping))]).flat())
  await Promise.all(Array.from({ length: 3 }, async () => assert.ok((await count())[0]!.n <= 3)))
  await work
  assert.equal((await count())[0]!.n, 3)
  await few.close()
})

test('single statements that travel together share no failure, and none has its effect twice', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const add = (id: string) => ({ text: 'INSERT INTO item (bucket, id, amount) VALUES (1, $1, 1) ON CONFLICT (bucket, id) DO UPDATE SET amount = item.amount + 1', values: [id] })
  const failing = { text: 'SELECT 1 / $1::int', values: [0] }
  for (let round = 1; round <= 3; round++) {
    const results = await Promise.allSettled(Array.from({ length: 40 }, (_, index) => one.database.query('alpha', index % 10 === 4 ? failing : add(`item-${index}`))))
    assert.deepEqual(results.flatMap(({ status }, index) => status === 'rejected' ? [index] : []), [4, 14, 24, 34])
  }
  assert.deepEqual(await one.scratch.sql('SELECT amount, count(*)::int AS n FROM alpha.item GROUP BY amount'), [{ amount: 3, n: 36 }])
})

test('a role that was lost is made again', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const [row] = await one.scratch.sql<{ role: string }>(`SELECT rolname AS role FROM pg_roles WHERE rolname LIKE 'tenfold_alpha%' AND has_schema_privilege(rolname, 'alpha', 'USAGE')`)
  await one.scratch.sql(`DROP OWNED BY ${row!.role}`)
  await one.scratch.sql(`DROP ROLE ${row!.role}`)
  await one.database.migrate(databaseSchemas)
  await one.database.query('alpha', { text: 'SELECT * FROM item', values: [] })
})

test('statements are prepared once under a name', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const text = 'SELECT amount FROM item WHERE bucket = $1'
  for (let index = 0; index < 5; index++) await one.database.query('alpha', { text, values: [1] })
  const { rows } = await one.database.query<{ name: string }>('alpha', { text: 'SELECT name FROM pg_prepared_statements WHERE statement = $1 AND generic_plans + custom_plans >= 5', values: [text] })
  assert.equal(rows.length, 1)
  assert.match(rows[0]!.name, /^s_/)
})

test('a changed table does not leave stale statements behind', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const statement = { text: 'SELECT * FROM item', values: [] }
  await one.database.query('alpha', statement)
  await one.scratch.sql('ALTER TABLE alpha.item ADD COLUMN colour text')
  await one.database.query('alpha', statement)
})

test('each service logs in as itself, within its limits', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const { rows } = await one.database.query<{ who: string; path: string; limit: string }>('beta', {
    text: `SELECT session_user AS who, current_setting('search_path') AS path, current_setting('transaction_timeout') AS limit`, values: [],
  })
  assert.match(rows[0]!.who, /^tenfold_beta/)
  assert.match(rows[0]!.path, /beta/)
  assert.notEqual(rows[0]!.limit, '0')
})

test('a commit with messages calls back', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  let calls = 0
  one.database.onAppended(() => { calls++ })
  const scope = { service: 'alpha', bucket: 1, deadlineMonotonicMs: monotonicMs() + 5_000 }
  await one.database.transaction(scope, async () => {})
  assert.equal(calls, 0)
  await one.database.transaction(scope, transaction => transaction.append([
    { id: '01890000-0000-7000-8000-000000000000', kind: 'event', name: 'alpha.x', key: 'k', bucket: 1, payload: {}, atMs: 1 }]))
  assert.equal(calls, 1)
})

test('a stale statement in a transaction may be tried again', async () => {
  await using one = await fresh()
  await one.database.migrate(databaseSchemas)
  const read = () => one.database.transaction({ service: 'alpha', bucket: 1, deadlineMonotonicMs: monotonicMs() + 5_000 }, transaction => transaction.query({ text: 'SELECT * FROM item', values: [] }))
  await read()
  await one.scratch.sql('ALTER TABLE alpha.item ADD COLUMN colour text')
  await assert.rejects(read(), error => isTenfoldError(error) && error.code === 'UNAVAILABLE')
  await read()
})
