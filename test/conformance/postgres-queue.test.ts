/** The queue port's suite against the real Postgres, and what only Postgres can do to it. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { newId } from '../../src/base/id.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { queueSuite } from '../../src/conformance/queue.ts'
import { verify } from '../../src/conformance/check.ts'
import { openPostgresQueue } from '../../src/drivers/postgres/queue.ts'
import { queueDriver } from '../support/bus-queue-drivers.ts'
import { scratchPostgres } from '../support/postgres.ts'

for (const one of verify(queueSuite, queueDriver())) test(one.name, { skip: one.skip }, () => one.run())

test('a worker claims no more than it may run, whatever the planner thinks of the table', { timeout: 60_000 }, async () => {
  const scratch = await scratchPostgres()
  await scratch.sql('CREATE SCHEMA tenfold')
  for (const file of ['0001-runtime', '0003-job-trace']) await scratch.sql(readFileSync(new URL(`../../src/drivers/postgres/sql/${file}.sql`, import.meta.url), 'utf8'))
  const queue = openPostgresQueue({ url: scratch.url, log: silentLogger })
  try {
    await queue.open()
    const jobs = (count: number) => Array.from({ length: count }, () => ({ id: newId(1), name: 'a.b', payload: null, attemptsMax: 3 }))
    await queue.enqueue(jobs(1))
    // As autovacuum may find it: one row, for which a nested loop is cheapest.
    await scratch.sql('VACUUM ANALYZE tenfold.job')
    await queue.enqueue(jobs(40))
    let [running, most, done] = [0, 0, 0]
    const working = await queue.work({ names: ['a.b'], concurrency: 4, async handle() {
      most = Math.max(most, ++running)
      await sleep(20)
      running--
      done++
    } })
    for (const endMs = monotonicMs() + 30_000; done < 41 && monotonicMs() < endMs;) await sleep(20)
    await working.stop(1_000)
    assert.deepEqual({ most, done }, { most: 4, done: 41 })
  } finally {
    await queue.close()
    await scratch.close()
  }
})
