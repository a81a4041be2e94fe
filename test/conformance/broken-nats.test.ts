/** The suites of bus, queue and outbox find what is broken on purpose around the drivers of the broker. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { randomFraction } from '../../src/base/random.ts'
import { sleep } from '../../src/base/time.ts'
import { busSuite } from '../../src/conformance/bus.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver, Suite } from '../../src/conformance/check.ts'
import { outboxSuite } from '../../src/conformance/outbox.ts'
import { queueSuite } from '../../src/conformance/queue.ts'
import type { Bus } from '../../src/ports/bus.ts'
import type { Outbox } from '../../src/ports/outbox.ts'
import { outboxDriver } from '../support/bus-queue-drivers.ts'
import { natsBusDriver, natsQueueDriver } from '../support/nats-drivers.ts'
import { lossyQueue, twiceQueue, unserialQueue } from './broken/queue.ts'

const skip = skipWithout('nats')

async function finds<Subject>(suite: Suite<Subject>, driver: Driver<Subject>, names: readonly string[]): Promise<void> {
  const titles = names.map(name => `${suite.port} · ${driver.name} · ${name}`)
  const cases = verify(suite, driver).filter(one => titles.includes(one.name))
  assert.equal(cases.length, names.length, 'each name is a check')
  // Together: each waits until nothing comes.
  assert.deepEqual(new Set(await failures(cases, true)), new Set(titles))
}

const around = (bus: Bus, more: Partial<Bus>): Bus => ({
  open: () => bus.open(), close: () => bus.close(), publish: messages => bus.publish(messages), subscribe: subscription => bus.subscribe(subscription),
  caughtUp: (consumer, timeoutMs, position) => bus.caughtUp(consumer, timeoutMs, position), depth: consumer => bus.depth(consumer),
  deadLetters: (consumer, limit) => bus.deadLetters(consumer, limit), replay: (consumer, id) => bus.replay(consumer, id), ...more,
})

/** Handles all messages of a batch at the same time, those of one key too. */
const hastyBus = (bus: Bus): Bus => around(bus, {
  subscribe: subscription => bus.subscribe({ ...subscription, handle: async batch => {
    await Promise.all(batch.map(async one => { await sleep(randomFraction() * 10); await subscription.handle([one]) }))
  } }),
})

/** Takes every token for one that has seen nothing. */
const trustingBus = (bus: Bus): Bus => around(bus, { caughtUp: (consumer, timeoutMs, position) => bus.caughtUp(consumer, timeoutMs, position && { ...position, lsn: 0n }) })

test('a bus without order per key', { skip }, () => finds(busSuite, natsBusDriver('hasty', {}, hastyBus), ['a batch has a limit, and a long log stays in order']))

test('a bus that shows a session less than it wrote', { skip }, () => finds(busSuite, natsBusDriver('trusting', {}, trustingBus), ['with a position, what was written before it is handled']))

test('a queue that runs jobs twice', { skip }, () => finds(queueSuite, natsQueueDriver('twice', twiceQueue), ['a job runs once and arrives as it was enqueued']))

test('a queue without serial order', { skip }, () => finds(queueSuite, natsQueueDriver('unserial', unserialQueue), ['jobs of one serial text run one after another, in order']))

test('a queue that loses what failed', { skip }, () => finds(queueSuite, natsQueueDriver('lossy', lossyQueue), ['failures that are due again at once are tried again, and none is lost']))

/** Says that a batch is carried before the broker has it. */
const hopefulOutbox = (outbox: Outbox): Outbox => ({
  open: () => outbox.open(), close: () => outbox.close(), carried: (...all) => outbox.carried(...all), note: places => outbox.note(places), noted: () => outbox.noted(), parking: part => outbox.parking(part),
  relay: carrier => outbox.relay({ begin: signal => carrier.begin(signal), carry: async (entries, signal) => { carrier.carry(entries, signal).catch(() => {}) } }),
})

test('a relay that does not wait for its broker', () => finds(outboxSuite, outboxDriver('hopeful', hopefulOutbox), ['what was not carried comes again', 'carried waits for what the holder of the position may have seen, of these names']))
