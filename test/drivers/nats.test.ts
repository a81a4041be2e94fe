/**
 * What a broker may do to events and jobs: be away, lose its store, be full, lose one of its
 * three servers, get a message twice. Nothing is lost, and each key keeps its order.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { ids, many, message, numbersOf, record, until as untilWithin } from '../../src/conformance/bus-recorder.ts'
import { verify } from '../../src/conformance/check.ts'
import { queueSuite } from '../../src/conformance/queue.ts'
import { NatsLink } from '../../src/drivers/nats/connection.ts'
import { eventStreams, eventSubject, messageId, textOf } from '../../src/drivers/nats/event-stream.ts'
import { openNatsQueue } from '../../src/drivers/nats/queue.ts'
import { startNatsServers } from '../../src/drivers/nats/server.ts'
import type { NatsServers } from '../../src/drivers/nats/server.ts'
import type { Bus } from '../../src/ports/bus.ts'
import type { Message } from '../../src/ports/database.ts'
import { scratchRuntime } from '../support/bus-queue-drivers.ts'
import { killed } from '../support/nats.ts'
import { natsBus, natsQueueDriver } from '../support/nats-drivers.ts'
import type { BrokerPlace } from '../support/nats-drivers.ts'

const skip = skipWithout('nats')
const isSoak = process.env.TENFOLD_SOAK === '1'
/** For a machine that is busy. */
const until = (what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> => untilWithin(what, condition, timeoutMs)
const awayMs = isSoak ? 180_000 : 1_500

interface Place { readonly servers: NatsServers; readonly folder: string; readonly place: BrokerPlace & { readonly replicas: number }; open(more?: Partial<BrokerPlace>): Promise<Bus> }

async function placeOf(t: TestContext, nodes: 1 | 3 = 1, more: Partial<BrokerPlace> = {}): Promise<Place> {
  const closers = new Closers()
  t.after(() => closers.close())
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-nats-'))
  closers.add(() => rm(folder, { recursive: true, force: true }))
  const servers = await startNatsServers({ dataFolder: folder, secret: Buffer.from('test'), nodes, log: silentLogger })
  closers.add(() => servers.stop())
  const scratch = await scratchRuntime(closers)
  const place = { url: servers.url, prefix: 'test', databaseUrl: scratch.url, ...more, replicas: nodes }
  const open = async (change: Partial<BrokerPlace> = {}) => {
    const bus = natsBus({ ...place, ...change })
    closers.add(() => bus.close())
    await bus.open()
    return bus
  }
  return { servers, folder, place, open }
}

/** Four writers, each with a key of its own, until they are told to stop; how many each has published. */
function write(bus: Bus, signal: AbortSignal): { readonly sent: Message[]; readonly done: Promise<unknown> } {
  const sent: Message[] = []
  const done = Promise.all(Array.from({ length: 4 }, async (_, writer) => {
    for (let n = 0; !signal.aborted; n++) {
      const one = message(`w${writer}`, { n })
      await bus.publish([one])
      sent.push(one)
      await sleep(5)
    }
  }))
  return { sent, done }
}

function assertAllInOrder(got: readonly Message[], sent: readonly Message[]): void {
  const first = [...new Map(got.map(one => [one.id, one])).values()]
  assert.deepEqual(new Set(ids(first)), new Set(ids(sent)))
  for (const key of new Set(sent.map(one => one.key))) assert.deepEqual(numbersOf(first, key), numbersOf(sent, key), key)
}

test(`a broker that is away for ${awayMs} ms delays events, and nothing else`, { skip, timeout: awayMs + 240_000 }, async t => {
  const { servers, open } = await placeOf(t, 1, { partitions: 2 })
  const bus = await open()
  const { got } = await record(bus)
  const stopping = new AbortController()
  const { sent, done } = write(bus, stopping.signal)
  await until('some have arrived', () => got.length > 20)
  await servers.stopNode(0)
  const before = sent.length
  await sleep(awayMs)
  const meanwhile = sent.length - before
  assert.ok(meanwhile > 4, 'writers go on without it')
  assert.equal(await bus.caughtUp('test', 100), false)
  const had = got.length
  await servers.startNode(0)
  await until('it goes on', () => got.length > had)
  stopping.abort()
  await done
  // So many take as long as they take, as long as more arrive.
  while (got.length < sent.length) { const before = got.length; await until('more arrive', () => got.length > before) }
  assertAllInOrder(got, sent)
  assert.equal(got.length, sent.length, 'none twice')
  await until('it is written down', async () => (await bus.depth('test')).waiting === 0)
  t.diagnostic(`${meanwhile} of ${sent.length} events were published while it was away`)
})

test('of three servers one may die', { skip, timeout: 240_000 }, async t => {
  const { servers, place, open } = await placeOf(t, 3)
  const bus = await open()
  const { got } = await record(bus)
  const queue = openNatsQueue({ ...place, log: silentLogger })
  t.after(() => queue.close())
  const done = new Set<string>()
  await queue.work({ names: ['mail.send'], concurrency: 2, handle: async ({ job }) => { done.add(job.id) } })
  const stopping = new AbortController()
  const { sent, done: written } = write(bus, stopping.signal)
  await until('some have arrived', () => got.length > 20)
  const jobs = many(30).map(({ id }) => ({ id, name: 'mail.send', payload: null, attemptsMax: 5 }))
  const enqueue = async (some: typeof jobs) => { for (let accepted = false; !accepted; await sleep(20)) accepted = await queue.enqueue(some).then(() => true, () => false) }
  await enqueue(jobs.slice(0, 15))
  for (const index of isSoak ? [0, 1, 2, 0, 1, 2] : [await leaderOf(place)]) {
    await killed(servers, index)
    await enqueue(jobs.slice(15))
    const had = got.length
    await until('events go on', () => got.length > had + 20)
  }
  stopping.abort()
  await written
  await until('all have arrived', () => new Set(ids(got)).size === sent.length)
  assertAllInOrder(got, sent)
  await until('all jobs are done', () => done.size === jobs.length)
})

/** The server that leads the stream of events: the worst to lose. */
async function leaderOf({ url, prefix, replicas }: Place['place']): Promise<number> {
  const link = new NatsLink({ url, prefix, replicas, log: silentLogger })
  try {
    const { manager } = await link.connected(10_000)
    const { cluster } = await manager.streams.info(eventStreams(prefix, 1, 0).events.name)
    return Number(/\d$/.exec(cluster?.leader ?? '')![0])
  } finally { await link.close() }
}

test('a broker that has lost everything gets again what was not handled', { skip, timeout: 240_000 }, async t => {
  const { servers, folder, open } = await placeOf(t)
  const bus = await open()
  const sent = many(40)
  await bus.publish(sent.slice(0, 10))
  const first = await record(bus)
  await until('the first', () => first.got.length === 10)
  await until('it is written down', async () => (await bus.depth('test')).waiting === 0)
  await first.subscribed.stop()
  await bus.publish(sent.slice(10, 30))
  await until('they are with the broker', () => isCarried(bus))
  await servers.stopNode(0)
  await rm(path.join(folder, 'nats/0/store'), { recursive: true })
  await servers.startNode(0)
  await bus.publish(sent.slice(30))
  const second = await record(bus)
  await until('the rest', () => new Set(ids(second.got)).size >= 30)
  assert.deepEqual(ids(second.got), ids(sent.slice(10)))
})

const isCarried = (bus: Bus): Promise<boolean> => bus.caughtUp('nobody', 0).then(() => sleep(500)).then(() => true)

test('a full stream takes no more until consumers have come along: the rest waits in the outbox', { skip, timeout: 240_000 }, async t => {
  const { place, open } = await placeOf(t, 1, { bytesMax: 400_000 })
  const bus = await open()
  const hung = Promise.withResolvers<void>()
  const { got } = await record(bus, () => hung.promise)
  const sent = Array.from({ length: 60 }, (_, n) => message('k', { n, text: 'x'.repeat(20_000) }))
  for (const one of sent) await bus.publish([one])
  const link = new NatsLink({ ...place, log: silentLogger })
  t.after(() => link.close())
  const { manager } = await link.connected()
  const stored = async () => (await manager.streams.info(eventStreams('test', 1, 0).events.name)).state
  await until('it is full', async () => (await stored()).bytes > 350_000)
  await sleep(300)
  const { bytes, messages } = await stored()
  assert.ok(bytes <= 400_000 && messages < 30, `${messages} messages of ${bytes} bytes`)
  hung.resolve()
  await until('all have arrived', () => got.length >= 60)
  assert.deepEqual(ids(got), ids(sent))
})

test('a message that is sent twice is there once by its id; without one a second delivery shows', { skip, timeout: 240_000 }, async t => {
  const { place, open } = await placeOf(t)
  const bus = await open()
  const { got } = await record(bus)
  const [one] = many(1) as [Message]
  await bus.publish([one])
  await until('it has arrived', () => got.length === 1)
  const link = new NatsLink({ ...place, log: silentLogger })
  t.after(() => link.close())
  const { manager, jetstream } = await link.connected()
  const streams = eventStreams('test', 1, 0)
  const stored = (await manager.streams.getMessage(streams.events.name, { last_by_subj: streams.everyEvent }))!
  const { tx, seq } = stored.json<{ tx: string; seq: string }>()
  const again = await jetstream.publish(stored.subject, stored.data, { msgID: messageId({ tx, seq }) })
  assert.equal(again.duplicate, true)
  // As if it were a later row of the outbox with the same event: the inbox is what is left then.
  const copy = textOf({ tx, seq: String(BigInt(seq) + 1n), lsn: 0n, message: one })
  await jetstream.publish(eventSubject(streams, one), copy)
  await until('the second delivery', () => got.length === 2)
  assert.deepEqual(ids(got), [one.id, one.id])
})

test('processes share the partitions of a consumer, each key stays in order, and one that dies is replaced', { skip, timeout: 240_000 }, async t => {
  const { open } = await placeOf(t, 1, { partitions: 4 })
  const [one, other] = [await open(), await open()]
  const got: Message[] = []
  const led = [new Set<string>(), new Set<string>()]
  const handling = (index: number) => async (batch: readonly Message[]) => { got.push(...batch); for (const { key } of batch) led[index]!.add(key) }
  await record(one, handling(0))
  await record(other, handling(1))
  const sent: Message[] = []
  const publish = async (rounds: number) => {
    for (let round = 0; round < rounds; round++) {
      const batch = Array.from({ length: 16 }, (_, key) => message(`k${key}`, { n: sent.filter(one => one.key === `k${key}`).length }))
      sent.push(...batch)
      await other.publish(batch)
      await sleep(10)
    }
  }
  const endMs = monotonicMs() + 20_000
  while (led.some(keys => keys.size === 0) && monotonicMs() < endMs) await publish(5)
  assert.ok(led.every(keys => keys.size > 0), 'both have some')
  await until('all have arrived', () => got.length >= sent.length)
  await one.close()
  await publish(10)
  await until('all have arrived at the other', () => new Set(ids(got)).size === sent.length)
  assertAllInOrder(got, sent)
})

test('a job that runs while a lone server is killed goes on, and its worker does not begin it again', { skip, timeout: 60_000 }, async t => {
  const { servers, place } = await placeOf(t)
  const queue = openNatsQueue({ ...place, log: silentLogger })
  t.after(() => queue.close())
  let [begun, ended] = [0, 0]
  await queue.work({ names: ['mail.send'], concurrency: 4, handle: async () => { begun++; await sleep(15_000); ended++ } })
  await queue.enqueue([{ id: many(1)[0]!.id, name: 'mail.send', payload: null, attemptsMax: 5 }])
  await until('it runs', () => begun === 1)
  await killed(servers, 0)
  await until('it has ended', () => ended === 1)
  await until('none is left', async () => { const { waiting, running } = await queue.depth(); return waiting + running === 0 })
  assert.equal(begun, 1)
})

test('negative control: with the consumers that a killed server has restored, jobs stay', { skip }, async () => {
  const [restart] = verify(queueSuite, natsQueueDriver('nats, which renews no consumer', queue => queue, { renewsConsumers: false })).filter(one => one.name.endsWith('a restart of the engine loses no job'))
  await assert.rejects(restart!.run(), /not within \d+ ms: (all have run|none is left)/)
})
