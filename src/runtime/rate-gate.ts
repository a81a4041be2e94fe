/**
 * Lets a request pass when its intent's rate allows it. What is left is told in the headers
 * RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10).
 *
 * While the engine that counts for all does not answer, each process counts for itself: no
 * more than so many times the limit passes, and nobody is refused because of the engine.
 */
import { createHash } from 'node:crypto'
import { fault } from '../base/errors.ts'
import type { TenfoldError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import { Counter } from '../base/metric-registry.ts'
import { monotonicMs } from '../base/time.ts'
import type { Rate } from '../model/rate.ts'
import type { Allowance, Rates } from '../ports/rate.ts'
import type { Caller } from '../ports/transport.ts'

export interface RateGateOptions {
  readonly rates: Rates
  /** Counts within this process while `rates` do not answer; without it everybody passes then. */
  readonly local?: Rates
  readonly log: Logger
}

/** Who sends a request. */
export interface Sender { readonly caller: Caller | null; readonly address: string }

export interface Passage {
  /** For the answer, whatever it is. */
  readonly headers: Readonly<Record<string, string>>
  /** RATE_LIMITED, or null. */
  readonly refusal: TenfoldError | null
}

const complainMs = 10_000
const nameCharactersMax = 200

export class RateGate {
  /** How often this process counted alone. */
  readonly alone = new Counter()
  readonly #options: RateGateOptions
  #complainedAtMs = -Infinity

  constructor(options: RateGateOptions) {
    this.#options = options
  }

  async pass(intent: string, rate: Rate, sender: Sender): Promise<Passage> {
    const allowance = await this.#take(nameOf(intent, rate, sender), rate)
    if (!allowance) return { headers: {}, refusal: null }
    const { allowed, retryMs } = allowance
    const says = () => `${intent} takes ${rate.limit} calls in ${rate.windowMs / 1_000} s from ${whom[rate.per]}: the next one passes in ${seconds(retryMs)} s`
    return { headers: headersOf(intent, rate, allowance), refusal: allowed ? null : fault('RATE_LIMITED', says(), { retryAfterMs: retryMs }) }
  }

  async #take(name: string, rate: Rate): Promise<Allowance | null> {
    try {
      return await this.#options.rates.take(name, rate)
    } catch (error) {
      if (monotonicMs() - this.#complainedAtMs > complainMs) {
        this.#complainedAtMs = monotonicMs()
        this.#options.log.warn({ err: error }, this.#options.local ? 'rates are counted by each process alone' : 'rates are not counted: requests pass')
      }
      this.alone.add()
      return this.#options.local?.take(name, rate) ?? null
    }
  }
}

const whom = { caller: 'one caller', address: 'one address', everybody: 'everybody together' } as const

function nameOf(intent: string, { per }: Rate, { caller, address }: Sender): string {
  const who = per === 'everybody' ? '' : per === 'caller' && caller ? `caller ${caller.id}` : `address ${address}`
  return `${intent}\n${who.length > nameCharactersMax ? createHash('sha256').update(who).digest('base64url') : who}`
}

const seconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000 - 1e-6))

function headersOf(intent: string, { limit, windowMs }: Rate, { allowed, remaining, fullMs, retryMs }: Allowance): Passage['headers'] {
  return {
    'ratelimit-policy': `"${intent}";q=${limit};w=${seconds(windowMs)}`,
    ratelimit: `"${intent}";r=${remaining};t=${seconds(allowed ? fullMs : retryMs)}`,
  }
}
