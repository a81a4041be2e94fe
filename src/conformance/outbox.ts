/** What every outbox driver must do. */
import assert from 'node:assert/strict'
import { randomFraction } from '../base/random.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Subscribed } from '../ports/bus.ts'
import type { Message, Position } from '../ports/database.ts'
import type { Carrier, Outbox, OutboxEntry, OutboxPlace, Part } from '../ports/outbox.ts'
import { ids, many, message, name, numbersOf, until } from './bus-recorder.ts'
import { suite } from './check.ts'

export interface OutboxSubject {
  readonly outbox: Outbox
  /** Appends within one transaction that commits delayMs after its last message. */
  appendSlowly(messages: readonly Message[], delayMs: number): Promise<void>
  position(): Promise<Position>
  /** The same outbox, opened by another process; closed with the subject. */
  reopen(): Promise<Outbox>
  /** Makes everything as old as it needs to be to be removed, and removes what may be; tells what is left. */
  prune(): Promise<string[]>
  /** Fault 'restart': the engine stops and starts. */
  restart?(): Promise<void>
  /** Fault 'cut': every connection to the engine breaks. */
  cut?(): Promise<void>
}

interface Broker extends Carrier {
  readonly entries: OutboxEntry[]
  readonly messages: Message[]
  begun: number
  /** Called before a batch is taken. */
  before(entries: readonly OutboxEntry[], signal: AbortSignal): Promise<void>
}

/** Takes everything, in memory. */
function broker(before: Broker['before'] = async () => {}): Broker {
  const entries: OutboxEntry[] = []
  return {
    entries, begun: 0, before,
    get messages() { return entries.map(one => one.message) },
    async begin() { this.begun++; const last = entries.at(-1); return last ? { tx: last.tx, seq: last.seq } : null },
    async carry(batch, signal) { await this.before(batch, signal); entries.push(...batch) },
  }
}

const before = (one: OutboxPlace, other: OutboxPlace): boolean => BigInt(one.tx) < BigInt(other.tx) || (one.tx === other.tx && BigInt(one.seq) < BigInt(other.seq))

async function assertRising({ entries }: Broker): Promise<void> {
  for (const [index, entry] of entries.entries()) if (index > 0) assert.ok(before(entries[index - 1]!, entry), 'each place is beyond the one before')
}

const whole: Part = { consumer: 'test', index: 0, count: 1 }

async function carriedEntries({ outbox, appendSlowly }: OutboxSubject, messages: readonly Message[]): Promise<readonly OutboxEntry[]> {
  const taker = broker()
  const relay = await outbox.relay(taker)
  await appendSlowly(messages, 0)
  await until('all are carried', () => taker.entries.length === messages.length)
  await relay.stop()
  return taker.entries
}

export const outboxSuite = suite<OutboxSubject>('outbox', {
  'events are carried as they were published, and jobs are not': async subject => {
    const all = [message('a', { text: 'ä"\\\n', list: [1, null] }), message('b', null, { atMs: 1_764_000_000_123 })]
    const taker = broker()
    const relay = await subject.outbox.relay(taker)
    await subject.appendSlowly([message('j', {}, { kind: 'job', name: 'mail.send' }), ...all], 0)
    await until('both are carried', () => taker.entries.length === 2)
    await relay.stop()
    assert.deepEqual(taker.messages, all)
  },
  'eight writers with late commits: each event is carried once, in the order of places and of its key': async ({ outbox, appendSlowly }) => {
    const taker = broker()
    const relay = await outbox.relay(taker)
    const sent: Message[] = []
    const endMs = monotonicMs() + 1_000
    await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
      for (let n = 0; monotonicMs() < endMs; n++) {
        const one = message(`w${writer}`, { n })
        await appendSlowly([one], randomFraction() < 0.2 ? randomFraction() * 20 : 0)
        sent.push(one)
      }
    }))
    await until('all are carried', () => taker.entries.length >= sent.length)
    await relay.stop()
    assert.deepEqual(new Set(ids(taker.messages)), new Set(ids(sent)))
    await assertRising(taker)
    for (const key of new Set(sent.map(one => one.key))) assert.deepEqual(numbersOf(taker.messages, key), numbersOf(sent, key), key)
  },
  'what was not carried comes again': async ({ outbox, appendSlowly }) => {
    let refusals = 2
    const taker = broker(async () => { if (refusals-- > 0) throw new Error('not now') })
    const relay = await outbox.relay(taker)
    const all = many(5)
    await appendSlowly(all, 0)
    await until('all are carried', () => taker.entries.length === 5)
    await relay.stop()
    assert.deepEqual(ids(taker.messages), ids(all))
    assert.equal(taker.begun, 3, 'the broker was asked each time')
  },
  'a broker that has lost its end gets it again': async ({ outbox, appendSlowly }) => {
    const taker = broker()
    const all = many(6)
    const first = await outbox.relay(taker)
    await appendSlowly(all.slice(0, 4), 0)
    await until('the first four', () => taker.entries.length === 4)
    await first.stop()
    taker.entries.splice(2)
    const second = await outbox.relay(taker)
    await appendSlowly(all.slice(4), 0)
    await until('all', () => taker.entries.length === 6)
    await second.stop()
    assert.deepEqual(ids(taker.messages), ids(all))
  },
  'of two relays one leads, and the other takes over': async ({ outbox, reopen, appendSlowly }) => {
    let carrying = 0
    const taker = broker(async () => {
      assert.equal(++carrying, 1)
      await sleep(5)
      carrying--
    })
    const relays: Subscribed[] = [await outbox.relay(taker), await (await reopen()).relay(taker)]
    const all = many(40)
    for (let at = 0; at < 20; at += 5) await appendSlowly(all.slice(at, at + 5), 0)
    await until('the first half', () => taker.entries.length === 20)
    await relays[0]!.stop()
    for (let at = 20; at < 40; at += 5) await appendSlowly(all.slice(at, at + 5), 0)
    await until('the second half', () => taker.entries.length === 40)
    await relays[1]!.stop()
    assert.deepEqual(ids(taker.messages), ids(all))
  },
  'stop does not wait for a broker that is away': async ({ outbox, appendSlowly }) => {
    const taker = broker((_, signal) => new Promise((resolve, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))))
    const relay = await outbox.relay(taker)
    await appendSlowly(many(1), 0)
    await until('it hangs', () => taker.begun === 1)
    await sleep(50)
    const startedAtMs = monotonicMs()
    await relay.stop()
    assert.ok(monotonicMs() - startedAtMs < 5_000)
    assert.equal(taker.entries.length, 0)
  },
  'carried waits for what the holder of the position may have seen, of these names': async ({ outbox, appendSlowly, position, reopen }) => {
    let open = Promise.withResolvers<void>()
    const taker = broker(() => open.promise)
    const relay = await outbox.relay(taker)
    const earlier = await position()
    assert.equal(await outbox.carried([name], 2_000), true, 'nothing is there')
    await appendSlowly(many(1), 0)
    const later = await position()
    for (const one of [outbox, await reopen()]) {
      assert.equal(await one.carried([name], 200, later), false, 'it may have been seen')
      assert.equal(await one.carried([name], 200), false, 'it was committed before')
      assert.equal(await one.carried([name], 200, earlier), true, 'it was written later')
      assert.equal(await one.carried(['shop.paid'], 200, later), true, 'it has another name')
    }
    open.resolve()
    assert.equal(await outbox.carried([name], 5_000, later), true)
    assert.equal(taker.entries.length, 1)
    await relay.stop()
  },
  'what is parked waits, key by key, until it passes': async subject => {
    const entries = await carriedEntries(subject, [...many(2, 'a'), ...many(1, 'b')])
    const parking = subject.outbox.parking(whole)
    assert.deepEqual(await parking.blocked(), { keys: new Set(), lsn: null })
    await parking.park(entries, 1, 0, 'no luck')
    await parking.park(entries, 9, 60_000, 'again')
    assert.deepEqual(await parking.blocked(), { keys: new Set(['a', 'b']), lsn: entries[0]!.lsn })
    const due = await parking.due()
    assert.deepEqual(due.map(one => [one.message.id, one.attempts]), [[entries[0]!.message.id, 1], [entries[2]!.message.id, 1]], 'the oldest of each key, as it was parked first')
    await parking.unpark(entries[0]!)
    await parking.fail(entries[2]!, 2, 60_000, false, 'still')
    assert.deepEqual((await parking.due()).map(one => one.message.id), [entries[1]!.message.id])
    await parking.fail(entries[1]!, 3, 0, true, 'given up')
    assert.deepEqual(await parking.blocked(), { keys: new Set(['b']), lsn: entries[2]!.lsn })
    await parking.unpark(entries[2]!)
    assert.deepEqual(await parking.blocked(), { keys: new Set(), lsn: null })
  },
  'each part of a consumer sees what is its own': async subject => {
    const entries = await carriedEntries(subject, Array.from({ length: 12 }, (_, n) => message(`k${n}`)))
    await subject.outbox.parking(whole).park(entries, 1, 0, 'no luck')
    const parts = [0, 1, 2].map(index => subject.outbox.parking({ consumer: 'test', index, count: 3 }))
    for (const [index, part] of parts.entries()) {
      const own = entries.filter(one => one.message.bucket % 3 === index).map(one => one.message.key)
      assert.deepEqual((await part.blocked()).keys, new Set(own))
      assert.deepEqual(new Set((await part.due()).map(one => one.message.key)), new Set(own))
    }
    assert.equal((await subject.outbox.parking({ ...whole, consumer: 'other' }).blocked()).keys.size, 0)
  },
  'an event is kept until every consumer that was noted has handled it': async subject => {
    const entries = await carriedEntries(subject, many(3))
    const note = ({ tx, seq }: OutboxPlace) => subject.outbox.note([{ consumer: 'slow', names: [name], tx, seq }, { consumer: 'fast', names: [name, 'a.b'], ...entries[2]! }])
    await note({ tx: '0', seq: '0' })
    assert.equal((await subject.prune()).length, 3)
    await note(entries[1]!)
    const places = (await subject.outbox.noted()).map(({ consumer, names, tx, seq }) => ({ consumer, names, tx, seq })).sort((a, b) => a.consumer < b.consumer ? -1 : 1)
    const at = ({ tx, seq }: OutboxPlace) => ({ tx, seq })
    assert.deepEqual(places, [{ consumer: 'fast', names: [name, 'a.b'], ...at(entries[2]!) }, { consumer: 'slow', names: [name], ...at(entries[1]!) }])
    assert.deepEqual(await subject.prune(), [entries[2]!.message.id])
  },
  'a restart of the engine loses nothing': { fault: 'restart', run: subject => survives(subject, () => subject.restart!()) },
  'cut connections lose nothing': { fault: 'cut', run: subject => survives(subject, () => subject.cut!()) },
})

async function survives({ outbox, appendSlowly }: OutboxSubject, fault: () => Promise<void>): Promise<void> {
  const taker = broker(() => sleep(2))
  const relay = await outbox.relay(taker)
  const all = many(60)
  for (const one of all.slice(0, 30)) await appendSlowly([one], 0)
  await fault()
  for (const one of all.slice(30)) {
    for (let accepted = false; !accepted;) {
      accepted = await appendSlowly([one], 0).then(() => true, () => false)
      if (!accepted) await sleep(50)
    }
  }
  await until('all are carried', () => new Set(ids(taker.messages)).size === 60, 20_000)
  await relay.stop()
  assert.deepEqual([...new Set(numbersOf(taker.messages, 'k'))], all.map((_, index) => index), 'in order')
}
