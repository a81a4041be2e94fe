/**
 * How old an answer may be. A query declares how long its answer stays fresh and which tags
 * it carries; whoever changes what it shows invalidates the tags, in the same transaction.
 * Durations in milliseconds.
 */

export interface Freshness {
  /** An answer is given again for so long, unless one of its tags is invalidated before. */
  readonly freshMs: number
  /** After that it may be given for so much longer while one refresh runs. Default 0. */
  readonly staleMs?: number
  /** How long it is remembered that there is no such thing (NOT_FOUND). Default 1,000, at most freshMs. */
  readonly missingMs?: number
  /**
   * 'public': what is answered to nobody in particular may be kept by shared caches (a CDN).
   * 'caller' (default): kept inside Tenfold only. Answers to a caller are always kept apart.
   */
  readonly audience?: 'public' | 'caller'
}

export const missingMsDefault = 1_000

/** What is wrong with a freshness, each with its mend. */
export function freshnessFaults({ freshMs, staleMs = 0, missingMs = 0 }: Freshness): string[] {
  const faults: string[] = []
  for (const [name, value] of Object.entries({ freshMs, staleMs, missingMs })) {
    if (!Number.isFinite(value) || value < 0) faults.push(`freshness.${name} is ${value}; write milliseconds, at least 0`)
  }
  if (freshMs === 0) faults.push('freshness.freshMs is 0; leave freshness out when an answer must never be given twice')
  return faults
}
