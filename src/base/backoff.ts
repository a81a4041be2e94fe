/** Capped exponential backoff with full jitter (AWS Builders' Library, "Timeouts, retries and backoff with jitter"). */
import { randomFraction } from './random.ts'

export interface Backoff {
  readonly baseMs: number
  readonly capMs: number
}

/** The delay before try number `attempt` (1 is the first retry), in milliseconds. */
export function backoffMs(backoff: Backoff, attempt: number): number {
  return Math.ceil(randomFraction() * Math.min(backoff.capMs, backoff.baseMs * 2 ** (attempt - 1)))
}
