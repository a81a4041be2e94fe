/** The rate port within one process: right only where no other process answers the same requests. */
import { LRUCache } from 'lru-cache'
import { allowanceOf } from '../../base/allowance.ts'
import { monotonicMs } from '../../base/time.ts'
import type { Rates } from '../../ports/rate.ts'

/** Whoever comes with more names than this is let pass again: memory is bounded first. */
const namesMax = 100_000

export function openMemoryRates(): Rates {
  /** When each bucket is full again. */
  const fullAt = new LRUCache<string, number>({ max: namesMax })
  return {
    open: async () => {},
    close: async () => fullAt.clear(),
    async take(name, policy) {
      const nowMs = monotonicMs()
      const before = Math.max(fullAt.get(name) ?? nowMs, nowMs)
      const after = before + policy.windowMs / policy.limit
      if (after - nowMs > policy.windowMs + 1e-6) return allowanceOf(false, before - nowMs, policy)
      fullAt.set(name, after)
      return allowanceOf(true, after - nowMs, policy)
    },
    async prune() {
      const nowMs = monotonicMs()
      for (const [name, atMs] of fullAt.entries()) if (atMs <= nowMs) fullAt.delete(name)
    },
  }
}
