/** What every bus driver must do. */
import assert from 'node:assert/strict'
import { newId } from '../base/id.ts'
import { randomFraction } from '../base/random.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Bus } from '../ports/bus.ts'
import type { Message, Position } from '../ports/database.ts'
import { ids, many, message, name, numbersOf, record, until } from './bus-recorder.ts'
import { sessionChecks } from './bus-sessions.ts'
import { suite } from './check.ts'

export interface BusSubject {
  readonly bus: Bus
  /** Appends within one transaction that commits delayMs after its last message. */
  appendSlowly(messages: readonly Message[], delayMs: number): Promise<void>
  /** The same bus, opened by another process; closed with the subject. */
  reopen(): Promise<Bus>
  /** Fault 'position': where the log stands now, for an engine that tells it. */
  position?(): Promise<Position>
  /** Fault 'restart': the engine stops and starts. */
  restart?(): Promise<void>
  /** Fault 'cut': every connection to the engine breaks. */
  cut?(): Promise<void>
}

export const busSuite = suite<BusSubject>('bus', {
  'a message arrives exactly as it was published': async ({ bus }) => {
    const all = [
      message('a', { text: 'ä"\\\n', list: [1, null, { deep: true }] }, { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }),
      message('b', null, { atMs: 1_764_000_000_123 }), message('c', [1, 2]), message('d', 'text'),
    ]
    await bus.publish(all)
    const { got } = await record(bus)
    await until('all have arrived', () => got.length === 4)
    assert.deepEqual(got, all)
  },
  'every consumer gets every message it subscribes to, and no other': async ({ bus }) => {
    const one = await record(bus)
    const other = await record(bus, undefined, { consumer: 'other', names: [name, 'shop.paid'] })
    const relay = await record(bus, undefined, { consumer: 'relay', names: 'jobs' })
    const ordered = message('a')
    const paid = message('a', {}, { name: 'shop.paid' })
    const job = message('a', {}, { kind: 'job', name: 'mail.send', runAtMs: 1_764_000_000_123 })
    await bus.publish([ordered, paid, job])
    await until('all have arrived', () => one.got.length === 1 && other.got.length === 2 && relay.got.length === 1)
    assert.deepEqual([ids(one.got), ids(other.got), relay.got], [[ordered.id], [ordered.id, paid.id], [job]])
  },
  'a consumer goes on where it stopped; a new one starts at the beginning': async ({ bus }) => {
    const all = many(6)
    const first = await record(bus)
    await bus.publish(all.slice(0, 3))
    await until('the first three', () => first.got.length === 3)
    await first.subscribed.stop()
    await bus.publish(all.slice(3))
    const again = await record(bus)
    const late = await record(bus, undefined, { consumer: 'late' })
    await until('the rest', () => again.got.length === 3 && late.got.length === 6)
    assert.deepEqual([ids(again.got), ids(late.got)], [ids(all.slice(3)), ids(all)])
  },
  'a message wakes the consumer': async ({ bus }) => {
    const { got } = await record(bus)
    let quickestMs = Infinity
    for (let round = 1; round <= 5; round++) {
      await sleep(300)
      const startedAtMs = monotonicMs()
      await bus.publish(many(1))
      await until('it has arrived', () => got.length === round)
      quickestMs = Math.min(quickestMs, monotonicMs() - startedAtMs)
    }
    assert.ok(quickestMs < 150, 'sooner than the fallback poll')
  },
  'eight writers with late commits: nothing is lost, and each key is in order': async subject => {
    const { got } = await record(subject.bus)
    const sent = await writeSlowly(subject, 1_500)
    await until('all have arrived', () => new Set(ids(got)).size === sent.length)
    for (const key of new Set(sent.map(one => one.key))) assert.deepEqual(numbersOf(got, key), numbersOf(sent, key), key)
  },
  'a failed batch comes again one at a time': async ({ bus }) => {
    const all = Array.from({ length: 5 }, (_, index) => message(`k${index}`))
    await bus.publish(all)
    const { got, batches } = await record(bus, async batch => { if (batch.length > 1) throw new Error('too many') })
    await until('all have arrived', () => got.length === 5)
    // How many come together is the engine's affair.
    const failed = batches.filter(one => one.length > 1)
    assert.ok(failed.length > 0, 'none came together')
    assert.deepEqual(ids(got), ids(all))
    assert.equal(batches.length, failed.length + 5, 'each message of a failed batch came once, alone')
  },
  'a message that keeps failing becomes a dead letter; only its key waits, and goes on then': async ({ bus }) => {
    const bad = message('bad', { n: 0 })
    const all = [message('good', { n: 0 }), bad, message('bad', { n: 1 }), message('good', { n: 1 })]
    let failed = 0
    let mend = false
    const { got, batches } = await record(bus, async batch => { if (!mend && batch.some(one => one.id === bad.id)) { failed++; throw new Error('no luck') } }, { backoff: { baseMs: 200, capMs: 400 } })
    await bus.publish(all)
    await until('the other key', () => numbersOf(got, 'good').length === 2)
    await until('the dead letter', async () => (await bus.deadLetters('test', 10)).length === 1)
    assert.ok(failed >= 3, 'it was tried three times')
    await until('the later one of its key', () => numbersOf(got, 'bad').length === 1)
    const [dead] = await bus.deadLetters('test', 10)
    assert.deepEqual([dead!.consumer, dead!.message.id, dead!.message.payload, dead!.attempts, dead!.error], ['test', bad.id, bad.payload, 3, 'no luck'])
    assert.ok(batches.filter(batch => batch.length === 1 && batch[0]!.id === bad.id).length <= 4, 'not more often than allowed')
    await until('only the dead letter is left', async () => {
      const { waiting, parked, dead } = await bus.depth('test')
      return waiting === 0 && parked === 0 && dead === 1
    })
    assert.equal(await bus.replay('test', newId(1)), false)
    mend = true
    assert.equal(await bus.replay('test', bad.id), true)
    await until('the replay', () => got.some(one => one.id === bad.id))
    await until('no dead letter is left', async () => (await bus.depth('test')).dead === 0)
  },
  'a failed message and the later ones of its key keep their order': async ({ bus }) => {
    let left = 2
    const { got } = await record(bus, async batch => { if (batch.some(one => (one.payload as { n: number }).n === 1) && left-- > 0) throw new Error('not yet') }, { attemptsMax: 10 })
    await bus.publish(many(3))
    await bus.publish([message('k', { n: 3 })])
    await until('all have arrived', () => got.length === 4)
    assert.deepEqual(numbersOf(got, 'k'), [0, 1, 2, 3])
  },
  'caughtUp means handled': async ({ bus, appendSlowly }) => {
    const { got } = await record(bus, () => sleep(30))
    assert.equal(await bus.caughtUp('test', 2_000), true, 'nothing is there yet')
    for (let round = 1; round <= 5; round++) {
      await bus.publish(many(1))
      assert.equal(await bus.caughtUp('test', 5_000), true)
      assert.equal(got.length, round)
    }
    const open = appendSlowly(many(1, 'slow'), 150)
    await sleep(30)
    await bus.publish(many(1))
    assert.equal(await bus.caughtUp('test', 5_000), true)
    assert.ok(numbersOf(got, 'k').length === 6, 'also when a running transaction holds the log back')
    await open
  },
  'caughtUp is false in time when the consumer hangs': async ({ bus }) => {
    let release = () => {}
    const hung = new Promise<void>(resolve => { release = resolve })
    await record(bus, () => hung)
    await bus.publish(many(1))
    const startedAtMs = monotonicMs()
    assert.equal(await bus.caughtUp('test', 200), false)
    assert.ok(monotonicMs() - startedAtMs < 4_000)
    release()
  },
  'caughtUp sees a consumer of another process': async ({ bus, reopen }) => {
    const { got } = await record(bus, () => sleep(20))
    const other = await reopen()
    await other.publish(many(3))
    assert.equal(await other.caughtUp('test', 5_000), true)
    assert.equal(got.length, 3)
  },
  'caughtUp holds in a process whose consumer stands by': async ({ bus, reopen }) => {
    const { got } = await record(bus, () => sleep(5))
    await bus.publish(many(1))
    await until('the first leads', () => got.length === 1)
    const other = await reopen()
    await record(other)
    await other.publish(many(3))
    assert.equal(await other.caughtUp('test', 3_000), true)
    assert.equal(got.length, 4)
  },
  ...sessionChecks,
  'of two processes with the same consumer one delivers, and the other takes over': async ({ bus, reopen }) => {
    const second = await reopen()
    const recorders = [await record(bus), await record(second)]
    const all = many(200)
    for (let at = 0; at < 200; at += 10) await bus.publish(all.slice(at, at + 10))
    const got = () => recorders.flatMap(one => one.got)
    await until('all have arrived', () => got().length >= 200)
    await sleep(100)
    assert.equal(got().length, 200, 'none was delivered twice')
    const leader = recorders.find(one => one.got.length > 0)!
    await leader.subscribed.stop()
    await second.publish(many(1, 'after'))
    await until('the other one took over', () => recorders.some(one => one !== leader && numbersOf(one.got, 'after').length === 1))
  },
  'a replay asked for by another process is delivered': async ({ bus, reopen }) => {
    let mend = false
    const { got } = await record(bus, async () => { if (!mend) throw new Error('no luck') }, { attemptsMax: 1 })
    const [one] = many(1) as [Message]
    await bus.publish([one])
    await until('the dead letter', async () => (await bus.deadLetters('test', 1)).length === 1)
    mend = true
    assert.equal(await (await reopen()).replay('test', one.id), true)
    await until('the replay', () => got.length === 1)
  },
  'stop waits for the running batch': async ({ bus }) => {
    let entered = false
    const { got, subscribed } = await record(bus, async () => { entered = true; await sleep(200) })
    await bus.publish(many(1))
    await until('it runs', () => entered)
    await subscribed.stop()
    assert.equal(got.length, 1)
    const again = await record(bus)
    await sleep(300)
    assert.equal(again.got.length, 0, 'it was done')
  },
  'a batch has a limit, and a long log stays in order': async ({ bus }) => {
    const all = many(1_200)
    for (let at = 0; at < 1_200; at += 400) await bus.publish(all.slice(at, at + 400))
    const { got, batches } = await record(bus)
    await until('all have arrived', () => got.length >= 1_200)
    assert.deepEqual(ids(got), ids(all))
    assert.ok(batches.every(batch => batch.length <= 500))
  },
  'close may be called twice': async ({ bus }) => {
    await record(bus)
    await Promise.all([bus.close(), bus.close()])
    await bus.close()
  },
  'a restart of the engine loses nothing': { fault: 'restart', run: subject => survives(subject, () => subject.restart!()) },
  'cut connections lose nothing': { fault: 'cut', run: subject => survives(subject, () => subject.cut!()) },
})

/** Eight writers, each with keys of its own, every fifth commit up to 20 ms late; and one that begins first and commits long after others. */
async function writeSlowly({ appendSlowly }: BusSubject, durationMs: number): Promise<Message[]> {
  const late = message('late', { n: 0 })
  const held = appendSlowly([late], durationMs / 2)
  const sent: Message[] = [late]
  await sleep(50)
  const endMs = monotonicMs() + durationMs
  await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
    for (let n = 0; monotonicMs() < endMs; n++) {
      const one = message(`w${writer}`, { n })
      await appendSlowly([one], randomFraction() < 0.2 ? randomFraction() * 20 : 0)
      sent.push(one)
      await sleep(1)
    }
  }))
  await held
  return sent
}

async function survives({ bus }: BusSubject, fault: () => Promise<void>): Promise<void> {
  const { got } = await record(bus, () => sleep(2), { attemptsMax: 20 })
  const all = many(60)
  for (const one of all.slice(0, 30)) await bus.publish([one])
  await fault()
  for (const one of all.slice(30)) {
    // The same id twice is allowed: a publish whose answer was lost may have happened.
    for (let accepted = false; !accepted;) {
      accepted = await bus.publish([one]).then(() => true, () => false)
      if (!accepted) await sleep(50)
    }
  }
  await until('all have arrived', () => new Set(ids(got)).size === 60, 20_000)
  assert.deepEqual([...new Set(numbersOf(got, 'k'))], all.map((_, index) => index), 'in order, at least once')
}
