/**
 * Checks of the bus: what a session may rely on. Its token names a position; a reader waits
 * for what the token may have seen, and for nothing else.
 */
import assert from 'node:assert/strict'
import { randomFraction } from '../base/random.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { BusSubject } from './bus.ts'
import { ids, many, message, record, until } from './bus-recorder.ts'
import type { Suite } from './check.ts'

const hasNumber = (n: number) => (one: { readonly payload: unknown }): boolean => (one.payload as { n?: number }).n === n

export const sessionChecks: Suite<BusSubject>['checks'] = {
  'caughtUp waits for messages of the consumer only': async ({ bus, appendSlowly }) => {
    await record(bus)
    const open = appendSlowly([message('slow', {}, { name: 'shop.paid' })], 2_500)
    await sleep(50)
    await bus.publish([message('other', {}, { name: 'shop.paid' })])
    assert.equal(await bus.caughtUp('test', 1_500), true, 'although a running transaction holds the log back')
    await open
  },
  'with a position, what was written before it is handled': {
    fault: 'position',
    async run({ bus, reopen, position }) {
      const { got } = await record(bus, () => sleep(randomFraction() * 4))
      const other = await reopen()
      const endMs = monotonicMs() + 1_500
      await Promise.all(Array.from({ length: 8 }, async (_, writer) => {
        for (let n = 0; monotonicMs() < endMs; n++) {
          const one = message(`w${writer}`, { n })
          await bus.publish([one])
          const at = await position!()
          if (n % 3 === 1) await sleep(randomFraction() * 20)
          assert.equal(await (n % 2 === 0 ? bus : other).caughtUp('test', 5_000, at), true)
          assert.ok(got.some(seen => seen.id === one.id), `message ${n} of writer ${writer}`)
        }
      }))
    },
  },
  'a parked message holds back who may have seen it, and nobody else': {
    fault: 'position',
    async run({ bus, reopen, position }) {
      let mend = false
      const { got } = await record(bus, async batch => { if (!mend && batch.some(hasNumber(1))) throw new Error('not yet') }, { attemptsMax: 1_000 })
      const other = await reopen()
      const [first, second, third] = many(3) as [ReturnType<typeof message>, ReturnType<typeof message>, ReturnType<typeof message>]
      await bus.publish([first])
      const before = await position!()
      assert.equal(await bus.caughtUp('test', 5_000, before), true)
      await bus.publish([second])
      const covering = await position!()
      await until('it is parked', async () => (await bus.depth('test')).parked === 1)
      await bus.publish([third, message('free', {})])
      await until('another key went on', () => got.some(one => one.key === 'free'))
      const after = await position!()
      for (const reader of [bus, other]) {
        assert.equal(await reader.caughtUp('test', 2_000, before), true, 'it was written later')
        assert.equal(await reader.caughtUp('test', 300, covering), false, 'it may have been seen')
        assert.equal(await reader.caughtUp('test', 300, after), false, 'it may have been seen')
      }
      const waiting = [bus, other].map(reader => reader.caughtUp('test', 8_000, after))
      mend = true
      assert.deepEqual(await Promise.all(waiting), [true, true])
      assert.deepEqual(new Set([first.id, second.id, third.id].filter(id => !ids(got).includes(id))), new Set())
    },
  },
  'a dead letter holds nobody back': {
    fault: 'position',
    async run({ bus, position }) {
      await record(bus, async () => { throw new Error('no luck') }, { attemptsMax: 2 })
      await bus.publish(many(1))
      const after = await position!()
      await until('the dead letter', async () => (await bus.deadLetters('test', 1)).length === 1)
      assert.equal(await bus.caughtUp('test', 5_000, after), true)
    },
  },
}
