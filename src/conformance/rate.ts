/** What every driver of the rate port must do: exactly so many at one moment, wherever they arrive, and one by one again. */
import assert from 'node:assert/strict'
import { sleep } from '../base/time.ts'
import type { Rates } from '../ports/rate.ts'
import { suite } from './check.ts'

export interface RateSubject {
  readonly one: Rates
  /** Another process of the same deployment; the same object for a driver that stays within one. */
  readonly other: Rates
}

/** Long enough that nothing comes back while a check runs. */
const hour = { limit: 10, windowMs: 3_600_000 }

export const rateSuite = suite<RateSubject>('rate', {
  'of many at one moment exactly the limit passes, wherever they arrive': async ({ one, other }) => {
    const all = await Promise.all(Array.from({ length: 40 }, (_, index) => (index % 2 ? one : other).take('burst', hour)))
    assert.equal(all.filter(({ allowed }) => allowed).length, hour.limit)
  },
  'what remains is counted down, and told to both': async ({ one, other }) => {
    const remaining: number[] = []
    for (let count = 0; count < 11; count++) remaining.push((await (count % 2 ? one : other).take('count', hour)).remaining)
    assert.deepEqual(remaining, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0])
  },
  'a refusal tells when the next one passes, and costs nothing': async ({ one }) => {
    const policy = { limit: 2, windowMs: 600_000 }
    for (let count = 0; count < 2; count++) assert.equal((await one.take('refused', policy)).allowed, true)
    for (let count = 0; count < 5; count++) {
      const { allowed, retryMs, fullMs } = await one.take('refused', policy)
      assert.equal(allowed, false)
      assert.ok(retryMs > 200_000 && retryMs <= 300_000, `${retryMs} ms until the next one`)
      assert.ok(fullMs > 500_000 && fullMs <= 600_000, `${fullMs} ms until all`)
    }
  },
  'they come back one by one': async ({ one, other }) => {
    const policy = { limit: 2, windowMs: 1_200 }
    await one.take('back', policy)
    const second = await other.take('back', policy)
    assert.deepEqual([second.allowed, second.remaining], [true, 0])
    let refused = await one.take('back', policy)
    // A machine that stood still may have let one come back meanwhile.
    while (refused.allowed) refused = await one.take('back', policy)
    await sleep(refused.retryMs + 20)
    assert.equal((await other.take('back', policy)).allowed, true)
  },
  'after a window everything may be done again': async ({ one }) => {
    const policy = { limit: 3, windowMs: 200 }
    while ((await one.take('window', policy)).allowed) { /* until it is empty */ }
    await sleep(policy.windowMs + 20)
    assert.deepEqual((await one.take('window', policy)).allowed, true)
  },
  'names are apart, whatever is in them': async ({ one }) => {
    const once = { limit: 1, windowMs: 3_600_000 }
    for (const name of ['a', 'A', 'a\nb', "a' OR 'a'='a", 'Zürich 💡', '']) {
      assert.equal((await one.take(name, once)).allowed, true, name)
      assert.equal((await one.take(name, once)).allowed, false, name)
    }
  },
  'pruning changes no answer': async ({ one, other }) => {
    const once = { limit: 1, windowMs: 3_600_000 }
    await one.take('old', { limit: 1, windowMs: 1 })
    await one.take('young', once)
    await sleep(10)
    await other.prune()
    assert.equal((await one.take('young', once)).allowed, false)
    assert.equal((await one.take('old', once)).allowed, true)
  },
  'close may be called twice': async ({ one }) => {
    await one.close()
    await one.close()
  },
})
