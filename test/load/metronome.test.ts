/** The metronome wakes its owner after every delay, however it meets its thread: one that is missed would stop a generator for good. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { metronome } from '../../src/load/metronome.ts'

const delays = 4_000
const patienceMs = 5_000

/** More of them than processors, so that threads are held up at every point. */
test('no delay is missed, nor one that replaces another', { timeout: 120_000 }, async () => {
  const counts = await Promise.all([1, 2, 3, 4].map(async seed => {
    const ticker = await metronome()
    let fired = 0
    let firedAtMs = monotonicMs()
    const done = Promise.withResolvers<void>()
    const again = () => {
      firedAtMs = monotonicMs()
      if (++fired === delays) return done.resolve()
      ticker.arm(0.3, () => assert.fail('it was replaced'))
      for (const endMs = monotonicMs() + (fired * seed * 7 % 50) / 1_000; monotonicMs() < endMs;);
      ticker.arm(0.05, again)
    }
    ticker.arm(0.05, again)
    const missed = (async () => { while (fired < delays && monotonicMs() - firedAtMs < patienceMs) await sleep(100) })()
    await Promise.race([done.promise, missed])
    ticker.close()
    return fired
  }))
  assert.deepEqual(counts, counts.map(() => delays))
})
