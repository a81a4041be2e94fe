/**
 * How many nodes are wanted: enough for the load that is offered and for what the forecast
 * says will be there when a node that is asked for now is ready. Load is offered work, in
 * nodes that would be busy all the time; not utilisation, which stops at 100 % and is thinned
 * by nodes that are not ready yet. Up at once, down when nothing larger was wanted for a while. Pure.
 */
import { LoadForecast } from './forecast.ts'
import type { ForecastState } from './forecast.ts'

export interface ScalingOptions {
  readonly min: number
  readonly max: number
  /** The share of a node that may be busy. */
  readonly target: number
  readonly stepMs: number
  /** From the wish to a node that takes requests. */
  readonly bootMs: number
  /** So long must less be enough before there is less. */
  readonly downMs?: number
  readonly quantile?: number
}

export interface Wish {
  readonly wanted: number
  /** What was offered, and what is to come, in busy nodes. */
  readonly load: number
  readonly forecast: number
  readonly reason: 'load' | 'forecast' | 'recent load' | 'min' | 'max'
}

const standardDownMs = 300_000
/**
 * Of the loads within the time of a boot so many are no larger than what is said. On half of
 * the World Cup trace 0.95 kept as many promises as 0.99 with fewer nodes.
 */
const standardQuantile = 0.95

export class ScalingPolicy {
  readonly #options: ScalingOptions
  readonly #forecast: LoadForecast
  readonly #downSteps: number
  /** The newest last. */
  readonly #wishes: number[] = []

  constructor(options: ScalingOptions, state: ForecastState | null = null) {
    const { stepMs, bootMs, downMs = standardDownMs, quantile = standardQuantile } = options
    this.#options = options
    this.#downSteps = Math.max(1, Math.round(downMs / stepMs))
    this.#forecast = new LoadForecast(Math.ceil(bootMs / stepMs) + 3, quantile, state)
  }

  /** Once in each step, with the load since the last one. */
  decide(load: number): Wish {
    const { min, max, target } = this.#options
    const forecast = this.#forecast.observe(load)
    const now = Math.ceil(Math.max(load, forecast) / target)
    this.#wishes.push(now)
    if (this.#wishes.length > this.#downSteps) this.#wishes.shift()
    const lasting = Math.max(...this.#wishes)
    const wanted = Math.min(max, Math.max(min, lasting))
    const reason = wanted < lasting ? 'max' : wanted > lasting ? 'min' : lasting > now ? 'recent load' : load >= forecast ? 'load' : 'forecast'
    return { wanted, load, forecast, reason }
  }

  /** For the next who decides. */
  state(): ForecastState { return this.#forecast.state() }
}
