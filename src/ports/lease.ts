/**
 * The lease port: at most one holder of a name at a time, with fencing tokens.
 *
 * Contract
 * - Two holders never both find their token current: each grant has a larger token than
 *   every grant before it, and `current` refuses any but the newest.
 * - A lease ends by release, by the holder's death within ttlMs, or when the engine is
 *   gone; `lost` aborts as soon as the holder can know. A holder that cannot renew treats
 *   the lease as lost before ttlMs is over.
 */

export interface Lease {
  readonly name: string
  /** Larger than every earlier grant of this name. */
  readonly token: bigint
  readonly lost: AbortSignal
  release(): Promise<void>
}

export interface Leases {
  open(): Promise<void>
  close(): Promise<void>
  /** The lease, or null when somebody else holds it. */
  acquire(name: string, ttlMs: number): Promise<Lease | null>
  /** True while this token is the newest grant of the name and has not been released. */
  current(name: string, token: bigint): Promise<boolean>
}
