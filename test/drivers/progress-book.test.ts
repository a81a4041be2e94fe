/** What a process knows of the partitions of consumers: the newest that it has heard, in whatever order answers and news arrive. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { silentLogger } from '../../src/base/log.ts'
import { until } from '../../src/conformance/bus-recorder.ts'
import { NatsLink } from '../../src/drivers/nats/connection.ts'
import type { Nats } from '../../src/drivers/nats/connection.ts'
import { eventStreams } from '../../src/drivers/nats/event-stream.ts'
import { Overtaken, ProgressBook, recordOf } from '../../src/drivers/nats/progress-book.ts'
import { scratchNats } from '../support/nats.ts'

/** A connection on which the answers to what is asked of a stream come late. */
class LateLink extends NatsLink {
  asked = 0
  readonly #gate: Promise<void>

  constructor(options: ConstructorParameters<typeof NatsLink>[0], gate: Promise<void>) {
    super(options)
    this.#gate = gate
  }

  override async connected(timeoutMs?: number): Promise<Nats> {
    const nats = await super.connected(timeoutMs)
    const getMessage: Nats['manager']['streams']['getMessage'] = async (...question) => {
      const answer = await nats.manager.streams.getMessage(...question)
      this.asked++
      await this.#gate
      return answer
    }
    const streams = new Proxy(nats.manager.streams, { get: (of, name) => name === 'getMessage' ? getMessage : Reflect.get(of, name).bind(of) })
    return { ...nats, manager: new Proxy(nats.manager, { get: (of, name) => name === 'streams' ? streams : Reflect.get(of, name) }) }
  }
}

test('who loses a partition to another and hears late how does not forget that it has been given away since', { skip: skipWithout('nats'), timeout: 60_000 }, async t => {
  const options = { ...await scratchNats(), replicas: 1, log: silentLogger }
  const streams = eventStreams(options.prefix, 1, 1_048_576)
  const gate = Promise.withResolvers<void>()
  const [link, lateLink] = [new NatsLink(options), new LateLink(options, gate.promise)]
  const [book, late] = [new ProgressBook(link, streams, silentLogger), new ProgressBook(lateLink, streams, silentLogger)]
  t.after(async () => {
    gate.resolve()
    for (const one of [book, late]) await one.stop()
    for (const one of [link, lateLink]) await one.close()
  })
  for (const one of [book, late]) one.start()
  await until('both hear', () => book.ready && late.ready)

  const free = recordOf('test', 0, ['shop.ordered'], 'made')
  const taken = await book.write({ ...free, owner: book.id }, 0)
  const refused = late.write({ ...free, owner: late.id }, 0)
  refused.catch(() => {})
  await until('it has asked who was first', () => lateLink.asked === 1)
  const given = await book.write(free, taken)
  await until('it hears that the partition is free', () => late.of('test', 0)?.revision === given)
  gate.resolve()
  await assert.rejects(refused, Overtaken)
  assert.deepEqual(late.of('test', 0), { record: free, revision: given })
})
