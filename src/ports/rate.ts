/**
 * The rate port: how often something may be done, counted together for all who ask the same engine.
 *
 * Contract
 * - A name's allowance is a bucket of `limit` that fills evenly within windowMs (the generic
 *   cell rate algorithm, ITU-T I.371): of calls at one moment exactly `limit` are let pass,
 *   whichever process they arrive at; afterwards one more each windowMs / limit.
 * - What is refused costs nothing.
 * - Names are apart. What has not been asked for in a window is forgotten, which changes no answer.
 */

export interface RatePolicy {
  readonly limit: number
  readonly windowMs: number
}

export interface Allowance {
  readonly allowed: boolean
  /** How many more would pass now. */
  readonly remaining: number
  /** Until all of `limit` may be done again. */
  readonly fullMs: number
  /** Until the next one passes; 0 when it would now. */
  readonly retryMs: number
}

export interface Rates {
  open(): Promise<void>
  close(): Promise<void>
  /** Takes one, if there is one. */
  take(name: string, policy: RatePolicy): Promise<Allowance>
  /** Forgets what is full again. */
  prune(): Promise<void>
}
