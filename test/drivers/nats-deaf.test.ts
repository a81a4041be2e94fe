/** A process that has stopped hearing how far consumers are: it asks, instead of telling its callers that they are behind. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { message, record, until } from '../../src/conformance/bus-recorder.ts'
import { NatsLink } from '../../src/drivers/nats/connection.ts'
import type { Nats } from '../../src/drivers/nats/connection.ts'
import { natsBusDriver } from '../support/nats-drivers.ts'

const waitMs = 5_000

/** The messages of consumers until `isDeaf`; then those that were delivered are lost. */
function deafened(nats: Nats, isDeaf: () => boolean): Nats {
  const over = <T extends object>(of: T, changed: Record<string, unknown>): T => new Proxy(of, { get: (target, name) => {
    if (name in changed) return changed[name as string]
    const value: unknown = Reflect.get(target, name)
    return typeof value === 'function' ? (value as (...all: unknown[]) => unknown).bind(target) : value
  } })
  const { consumers } = nats.jetstream
  const get = async (...which: Parameters<typeof consumers.get>) => {
    const consumer = await consumers.get(...which)
    return over(consumer, { consume: async (...how: Parameters<typeof consumer.consume>) => {
      const messages = await consumer.consume(...how)
      return over(messages, { [Symbol.asyncIterator]: async function* () { for await (const one of messages) if (!isDeaf()) yield one } })
    } })
  }
  return { ...nats, jetstream: over(nats.jetstream, { consumers: over(consumers, { get }) }) }
}

test('who hears nothing of the progress of consumers asks for it', { skip: skipWithout('nats'), timeout: 60_000 }, async t => {
  const { connected } = NatsLink.prototype
  const hearing = new WeakSet<NatsLink>()
  const state = { isFirst: true, isDeaf: false }
  NatsLink.prototype.connected = async function (this: NatsLink, timeoutMs?: number) {
    if (state.isFirst) hearing.add(this)
    const nats = await connected.call(this, timeoutMs)
    return hearing.has(this) ? nats : deafened(nats, () => state.isDeaf)
  }
  t.after(() => { NatsLink.prototype.connected = connected })
  const { subject: { bus, reopen }, close } = await natsBusDriver().open()
  t.after(close)
  const { got } = await record(bus)
  await bus.publish([message('a')])
  await until('the first is handled', () => got.length === 1)
  state.isFirst = false
  const other = await reopen()
  assert.equal(await other.caughtUp('test', waitMs), true, 'it hears')
  state.isDeaf = true
  await bus.publish([message('a')])
  await until('the second is handled', () => got.length === 2)
  assert.equal(await other.caughtUp('test', waitMs), true, 'it does not hear, and asks')
})
