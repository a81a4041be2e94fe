/** The suites of bus and queue find drivers that break the contract on purpose. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { busSuite } from '../../src/conformance/bus.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver, Suite } from '../../src/conformance/check.ts'
import { queueSuite } from '../../src/conformance/queue.ts'
import { busDriver, queueDriver } from '../support/bus-queue-drivers.ts'
import { anxiousBus, naiveBus, trustingBus } from './broken/bus.ts'
import { forgetfulQueue, twiceQueue, unserialQueue } from './broken/queue.ts'

/** Runs the named checks only: the whole suite would wait for each of its time-outs. */
async function finds<Subject>(suite: Suite<Subject>, driver: Driver<Subject>, names: readonly string[]): Promise<void> {
  const titles = names.map(name => `${suite.port} · ${driver.name} · ${name}`)
  const cases = verify(suite, driver).filter(one => titles.includes(one.name))
  assert.equal(cases.length, names.length, 'each name is a check')
  // Together: each waits until nothing comes.
  assert.deepEqual(new Set(await failures(cases, true)), new Set(titles))
}

test('faults are found', { concurrency: true }, async t => {
  await Promise.all([
    t.test('a bus that ignores the horizon loses messages', () => finds(busSuite, busDriver('naive', naiveBus), ['eight writers with late commits: nothing is lost, and each key is in order'])),
    t.test('a bus that shows a session less than it wrote', () => finds(busSuite, busDriver('trusting', trustingBus), ['with a position, what was written before it is handled', 'a parked message holds back who may have seen it, and nobody else'])),
    t.test('a bus that holds everybody back', () => finds(busSuite, busDriver('anxious', anxiousBus), ['a parked message holds back who may have seen it, and nobody else'])),
    t.test('a queue that runs jobs twice', () => finds(queueSuite, queueDriver('twice', twiceQueue), ['a job runs once and arrives as it was enqueued', 'two processes share the jobs, each goes to one'])),
    t.test('a queue that forgets jobs', () => finds(queueSuite, queueDriver('forgetful', forgetfulQueue), ['a job runs once and arrives as it was enqueued', 'jobs outlive the process'])),
    t.test('a queue without serial order', () => finds(queueSuite, queueDriver('unserial', unserialQueue), ['jobs of one serial text run one after another, in order'])),
  ])
})
