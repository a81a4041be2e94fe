/** The measurements port's suite against the real Postgres, and against drivers that are wrong on purpose; and what only Postgres tells. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import type { MetricName } from '../../src/base/metric-table.ts'
import type { NumberSample } from '../../src/base/metric-registry.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { backlogSuite, measurementsSuite } from '../../src/conformance/measurements.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresMeasurements } from '../../src/drivers/postgres/measurements.ts'
import { sleep } from '../../src/base/time.ts'
import { measurementsDriver } from '../support/measurements-driver.ts'
import { scratchPostgres } from '../support/postgres.ts'
import { leavesOutZeros, remembers, seesNoLocks, waitsForEver } from './broken/measurements.ts'

const casesOf = (driver = measurementsDriver()) => [...verify(measurementsSuite, driver), ...verify(backlogSuite, driver)]
for (const one of casesOf()) test(one.name, { timeout: 60_000 }, () => one.run())

const broken = [
  [leavesOutZeros, 'a consumer for whom nothing waits is told as zero'],
  [remembers, 'what waits is counted by consumer, with the age of the oldest'],
  [seesNoLocks, 'what waits for a lock and what holds it are told while it lasts'],
  [waitsForEver, 'an engine that hangs is told in time, and is found again'],
] as const

// At the same time: each waits until nothing comes.
test('faults are found', { concurrency: true, timeout: 120_000 }, async t => {
  await Promise.all(broken.map(([wrap, check]) => t.test(`measurements · ${wrap.name} fails '${check}'`, async () => {
    const cases = casesOf(measurementsDriver(wrap.name, wrap)).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`measurements · ${wrap.name} · ${check}`])
  })))
})

test('locks, transactions and commits of Postgres are told as they are', { timeout: 60_000 }, async t => {
  const closers = new Closers()
  t.after(() => closers.close())
  const scratch = await scratchPostgres()
  closers.add(() => scratch.close())
  const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
  await database.migrate([])
  await database.close()
  const measurements = openPostgresMeasurements({ url: scratch.url })
  closers.add(() => measurements.close())
  const value = async (name: MetricName, label = ''): Promise<number> => {
    const samples = (await measurements.read(10_000)).find(one => one.name === name)!.samples as readonly NumberSample[]
    return samples.find(one => label === '' || Object.values(one.labels).includes(label))!.value
  }
  const until = async (condition: () => Promise<boolean>) => { while (!await condition()) await sleep(50) }
  const [holder, waiter] = [new pg.Client(scratch.url), new pg.Client(scratch.url)]
  for (const client of [holder, waiter]) { await client.connect(); closers.add(() => client.end()) }
  assert.equal(await value('tenfold_postgres_locks_waiting'), 0)
  const commits = await value('tenfold_postgres_commits_total')
  const wal = await value('tenfold_postgres_wal_bytes_total')
  await holder.query('BEGIN; LOCK TABLE tenfold.meta')
  const waiting = waiter.query('LOCK TABLE tenfold.meta; ROLLBACK').catch(() => {})
  await until(async () => await value('tenfold_postgres_locks_waiting') === 1)
  assert.equal(await value('tenfold_postgres_connections', 'idle in transaction'), 1)
  const age = await value('tenfold_postgres_oldest_transaction_seconds')
  assert.ok(age > 0 && age < 60, String(age))
  await holder.query(`INSERT INTO tenfold.meta VALUES ('a', repeat('x', 100000)); COMMIT`)
  await waiting
  assert.equal(await value('tenfold_postgres_locks_waiting'), 0)
  await until(async () => await value('tenfold_postgres_commits_total') > commits && await value('tenfold_postgres_wal_bytes_total') > wal)
  assert.ok(await value('tenfold_postgres_connections_max') >= 20)
})
