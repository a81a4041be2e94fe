/** What every driver of the lease port must do: one holder at a time, growing tokens, loss that is noticed. */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { monotonicMs, sleep } from '../base/time.ts'
import type { Lease, Leases } from '../ports/lease.ts'
import { suite } from './check.ts'

export interface LeaseSubject {
  /** Two processes' views of one engine, both open. */
  readonly first: Leases
  readonly second: Leases
  /** Fault 'restart': the engine goes away and comes back. */
  restart?(): Promise<void>
  /** Fault 'cut': the engine cuts every holder's connection. */
  cut?(): Promise<void>
}

const name = 'leader'
const ttlMs = limits.leaseTtlMs

async function granted(leases: Leases, of = name): Promise<Lease> {
  const lease = await leases.acquire(of, ttlMs)
  assert.ok(lease, 'the lease was free and must be granted')
  return lease
}

async function lostWithin(lease: Lease, withinMs: number): Promise<void> {
  const endMs = monotonicMs() + withinMs
  while (!lease.lost.aborted) {
    assert.ok(monotonicMs() < endMs, `the loss was not noticed within ${withinMs} ms`)
    await sleep(10)
  }
}

async function regranted(leases: Leases): Promise<Lease> {
  const endMs = monotonicMs() + 10_000
  for (;;) {
    const lease = await leases.acquire(name, ttlMs).catch(() => null)
    if (lease) return lease
    assert.ok(monotonicMs() < endMs, 'the lease was not granted again')
    await sleep(50)
  }
}

export const leaseSuite = suite<LeaseSubject>('lease', {
  async 'a held name is not granted again, to anyone'({ first, second }) {
    await granted(first)
    assert.equal(await second.acquire(name, ttlMs), null)
    assert.equal(await first.acquire(name, ttlMs), null)
  },
  async 'different names do not meet'({ first, second }) {
    await granted(first, 'one')
    await granted(second, 'two')
  },
  async 'each grant has a larger token, and only the newest is current'({ first, second }) {
    const before = await granted(first)
    assert.ok(await second.current(name, before.token))
    await before.release()
    assert.equal(await second.current(name, before.token), false)
    const later = await granted(second)
    assert.ok(later.token > before.token)
    assert.equal(await first.current(name, before.token), false)
    assert.ok(await first.current(name, later.token))
  },
  async 'a name never granted has no current token'({ first }) {
    assert.equal(await first.current('nobody', 1n), false)
  },
  async 'release may be called twice and does not end a later grant'({ first, second }) {
    const before = await granted(first)
    await before.release()
    const later = await granted(second)
    await before.release()
    assert.ok(await first.current(name, later.token))
    assert.equal(later.lost.aborted, false)
  },
  async 'of many that ask at once one is granted'({ first, second }) {
    const results = await Promise.all(Array.from({ length: 12 }, (_, index) => (index % 2 ? first : second).acquire(name, ttlMs)))
    assert.equal(results.filter(Boolean).length, 1)
  },
  'a cut connection loses the lease, and another gets it': {
    fault: 'cut',
    async run({ first, second, cut }) {
      const before = await granted(first)
      await cut!()
      await lostWithin(before, ttlMs)
      const later = await regranted(second)
      assert.ok(later.token > before.token)
      assert.equal(await second.current(name, before.token), false)
    },
  },
  'a restart loses every lease, and tokens go on growing': {
    fault: 'restart',
    async run({ first, second, restart }) {
      const before = await granted(first)
      await restart!()
      await lostWithin(before, ttlMs)
      assert.ok((await regranted(second)).token > before.token)
    },
  },
  async 'close releases what is held'({ first, second }) {
    const lease = await granted(first)
    await first.close()
    await lostWithin(lease, 1_000)
    await granted(second)
  },
  async 'close may be called twice, and nothing is granted afterwards'({ first }) {
    await first.close()
    await first.close()
    await assert.rejects(first.acquire(name, ttlMs), error => isTenfoldError(error) && error.code === 'UNAVAILABLE')
  },
  async 'a lease is kept well past its ttl'({ first, second }) {
    const lease = await first.acquire(name, 400)
    await sleep(1_200)
    assert.equal(lease!.lost.aborted, false)
    assert.equal(await second.acquire(name, ttlMs), null)
  },
})
