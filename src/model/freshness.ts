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
  /**
   * How far an answer may lag behind what has changed, for whoever has neither a session's token nor
   * signed in: one that was read so recently is given on although a tag of it has been invalidated,
   * and read anew at most twice in that time. What is asked or changed more rarely is exact. A session
   * is never given one; nor is a CDN, which forgets for itself. Default 0, at most freshMs.
   */
  readonly lagMs?: number
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
export function freshnessFaults({ freshMs, staleMs = 0, lagMs = 0, missingMs = 0 }: Freshness): string[] {
  const faults: string[] = []
  for (const [name, value] of Object.entries({ freshMs, staleMs, lagMs, missingMs })) {
    if (!Number.isFinite(value) || value < 0) faults.push(`freshness.${name} is ${value}; write milliseconds, at least 0`)
  }
  if (freshMs === 0) faults.push('freshness.freshMs is 0; leave freshness out when an answer must never be given twice')
  if (lagMs > freshMs) faults.push(`freshness.lagMs is ${lagMs} and freshMs ${freshMs}; an answer cannot lag for longer than it is kept: make it at most ${freshMs}`)
  return faults
}
