/**
 * The clock that all processes agree on: the database's, carried on by the monotonic clock, so
 * that neither a wrong wall clock nor one that is set makes a session's token live shorter or longer.
 *
 * Negative control: by the wall clock it would.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { agreedNow, agreeOn, installClock, now, systemClock } from '../../src/base/time.ts'
import { isLiving } from '../../src/runtime/token.ts'

test('until the database has been heard it is the wall clock', () => { assert.ok(Math.abs(agreedNow() - now()) < 50) })

test('afterwards it is the database\'s, whatever the wall clock says and however it is set', t => {
  let [wallMs, monotonicMs] = [1_000_000_000_000, 500.25]
  t.after(installClock({ ...systemClock, now: () => wallMs, monotonicMs: () => monotonicMs }))
  const databaseMs = wallMs + 3_600_000
  agreeOn(databaseMs, monotonicMs)
  assert.equal(agreedNow(), databaseMs)
  const token = { epoch: 0, wroteAtMs: agreedNow(), positions: [] }
  for (const offsetMs of [-7_200_000, 7_200_000]) {
    wallMs += offsetMs
    assert.ok(isLiving(token), 'a session that wrote just now')
    assert.ok(Math.abs(now() - token.wroteAtMs) > limits.tokenLifeMs, 'negative control: by the wall clock it wrote at another time')
  }
  monotonicMs += limits.tokenLifeMs - 1
  assert.ok(isLiving(token) && Number.isInteger(agreedNow()))
  monotonicMs += 1
  assert.ok(!isLiving(token), 'its time is over when it is over')

  const before = agreedNow()
  agreeOn(before, monotonicMs)
  const askedAtMs = monotonicMs
  monotonicMs += 2_000
  agreeOn(before + 100, askedAtMs)
  assert.equal(agreedNow(), before + 2_000, 'an answer that was long under way is not believed where there was a better one')
  monotonicMs += 10_000
  agreeOn(before + 20_000, monotonicMs - 1_000)
  assert.equal(agreedNow(), before + 20_500, 'where there was none it is, half way between')
})
