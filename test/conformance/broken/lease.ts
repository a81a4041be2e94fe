/** Lease drivers that are wrong on purpose: the suite must notice. */
import type { Lease, Leases } from '../../../src/ports/lease.ts'

const over = (leases: Leases, changes: Partial<Leases>): Leases => ({
  open: () => leases.open(), close: () => leases.close(),
  acquire: (name, ttlMs) => leases.acquire(name, ttlMs), current: (name, token) => leases.current(name, token), ...changes,
})

/** Grants a name that is held. */
export const grantsTwice = (leases: Leases): Leases => over(leases, {
  acquire: async (name, ttlMs) => await leases.acquire(name, ttlMs)
    ?? { name, token: 1n, lost: new AbortController().signal, release: async () => {} } satisfies Lease,
})

/** Takes every token for the newest. */
export const believesAnyToken = (leases: Leases): Leases => over(leases, { current: async () => true })

/** Never notices that a lease is gone. */
export const noticesNoLoss = (leases: Leases): Leases => over(leases, {
  acquire: async (name, ttlMs) => {
    const lease = await leases.acquire(name, ttlMs)
    return lease && { name, token: lease.token, lost: new AbortController().signal, release: () => lease.release() }
  },
})
