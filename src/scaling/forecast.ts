/**
 * How much load is to come: three ways to say it compete, and each learns from how wrong it has
 * been at the same distance how much head-room it needs. Who would have bought the least for the same
 * promise speaks (the pinball loss of quantile regression, Koenker and Bassett 1978).
 */

/** What a way of forecasting keeps. */
export interface ExpertState {
  readonly level: number
  readonly trend: number
  /** Largest load that came, over what had been said, the newest last. */
  readonly errors: readonly number[]
}
export type ForecastState = readonly ExpertState[]

/** Holt's exponential smoothing with a damped trend (Gardner and McKenzie 1985); of weight 1 and without a trend: what is, stays. */
interface Smoothing { readonly level: number; readonly trend: number }
const smoothings: readonly Smoothing[] = [{ level: 1, trend: 0 }, { level: 0.3, trend: 0.05 }, { level: 0.7, trend: 0.1 }]
const damping = 0.98
/** With four steps in a minute, half a day. */
const errorsMax = 2_880
/** Fewer errors say little about their tail. */
const errorsMin = 100
const learnEvery = 40
/** Until something has been learnt. */
const headroomUnknown = 1.1
const headroomMin = 0.8
const headroomMax = 2
/** Of the loss so far what is left after each step: some hours count. */
const lossKept = 0.999

class Expert {
  readonly #smoothing: Smoothing
  readonly #distance: number
  readonly #quantile: number
  #level: number | null = null
  #trend = 0
  #headroom = headroomUnknown
  /** A ring: the oldest is overwritten. */
  readonly #errors = new Float64Array(errorsMax)
  #errorCount = 0
  /** Said in the last steps, with the head-room of then. */
  readonly #said: { readonly plain: number; readonly promised: number }[] = []
  loss = 0

  constructor(smoothing: Smoothing, distance: number, quantile: number, state: ExpertState | undefined) {
    this.#smoothing = smoothing
    this.#distance = distance
    this.#quantile = quantile
    if (!state) return
    this.#level = state.level
    this.#trend = state.trend
    for (const error of state.errors) this.#errors[this.#errorCount++ % errorsMax] = error
    this.#learn()
  }

  /** The load of a step, and the largest of the last `distance`. */
  observe(load: number, largest: number): number {
    this.#compare(largest)
    const { level, trend } = this.#smoothing
    const before = this.#level ?? load
    this.#level = level * load + (1 - level) * (before + damping * this.#trend)
    this.#trend = trend * (this.#level - before) + (1 - trend) * damping * this.#trend
    const plain = this.#ahead()
    const promised = plain * this.#headroom
    this.#said.push({ plain, promised })
    return promised
  }

  #compare(largest: number): void {
    if (this.#said.length < this.#distance) return
    const { plain, promised } = this.#said.shift()!
    this.loss = this.loss * lossKept + Math.max(this.#quantile * (largest - promised), (this.#quantile - 1) * (largest - promised))
    if (plain <= 0) return
    this.#errors[this.#errorCount++ % errorsMax] = largest / plain
    if (this.#errorCount % learnEvery === 0) this.#learn()
  }

  #learn(): void {
    if (this.#errorCount < errorsMin) return
    const sorted = this.#errors.slice(0, this.#errorCount).sort()
    this.#headroom = Math.min(headroomMax, Math.max(headroomMin, sorted[Math.floor((sorted.length - 1) * this.#quantile)]!))
  }

  /** The largest within the distance, without head-room. */
  #ahead(): number {
    const level = this.#level!
    let [largest, trend, damped] = [level, 0, 1]
    for (let step = 0; this.#trend > 0 && step < this.#distance; step++) {
      damped *= damping
      trend += damped
      largest = level + this.#trend * trend
    }
    return largest
  }

  state(): ExpertState {
    const start = this.#errorCount % errorsMax
    const errors = this.#errorCount < errorsMax ? [...this.#errors.slice(0, this.#errorCount)] : [...this.#errors.slice(start), ...this.#errors.slice(0, start)]
    return { level: this.#level ?? 0, trend: this.#trend, errors }
  }
}

export class LoadForecast {
  readonly #distance: number
  readonly #experts: readonly Expert[]
  readonly #came: number[] = []

  /** Says how large the load becomes within `distance` steps; that share of the time it is no larger. */
  constructor(distance: number, quantile: number, state: ForecastState | null = null) {
    this.#distance = distance
    this.#experts = smoothings.map((smoothing, index) => new Expert(smoothing, distance, quantile, state?.[index]))
  }

  /** The load of one step, in any unit; what is to come, in the same. */
  observe(load: number): number {
    this.#came.push(load)
    if (this.#came.length > this.#distance) this.#came.shift()
    const largest = Math.max(...this.#came)
    const promises = this.#experts.map(expert => expert.observe(load, largest))
    const best = this.#experts.reduce((found, expert, index) => expert.loss < this.#experts[found]!.loss ? index : found, 0)
    return promises[best]!
  }

  state(): ForecastState { return this.#experts.map(expert => expert.state()) }
}
