/** How often an intent may be called over HTTP, and whose calls are counted together. */

export interface Rate {
  /** Calls that may be made at once by somebody who has made none for a while. */
  readonly limit: number
  /** After so many milliseconds without a call all of `limit` may be made again; they come back one by one. */
  readonly windowMs: number
  /** 'caller': who is signed in, else the address. 'address': where the request comes from. 'everybody': all together. */
  readonly per: 'caller' | 'address' | 'everybody'
}

const windowMsMax = 86_400_000

/** What is wrong with a rate; empty when nothing is. */
export function rateFaults({ limit, windowMs, per }: Rate): string[] {
  const faults: string[] = []
  if (!Number.isInteger(limit) || limit < 1) faults.push(`its rate has limit ${limit}; write a whole number of at least 1`)
  if (!Number.isInteger(windowMs) || windowMs < 1 || windowMs > windowMsMax) faults.push(`its rate has windowMs ${windowMs}; write milliseconds from 1 to ${windowMsMax}`)
  if (!['caller', 'address', 'everybody'].includes(per)) faults.push(`its rate counts per ${JSON.stringify(per)}; write 'caller', 'address' or 'everybody'`)
  return faults
}
