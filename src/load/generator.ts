/**
 * Makes the users of one share of a plan: journeys that begin by the clock (open), or users who
 * go from one journey to the next (closed). Knows neither processes nor sockets, so that a test
 * runs it on a simulated clock.
 */
import { fault, isTenfoldError } from '../base/errors.ts'
import { monotonicMs } from '../base/time.ts'
import { exponential, weightedIndex } from './draw.ts'
import type { Journey } from './journey.ts'
import { planDefaults } from './plan.ts'
import type { LoadPlan } from './plan.ts'
import { Arrivals, valueAt } from './profile.ts'
import { Tally } from './tally.ts'
import { JourneyOver, Visitor } from './visitor.ts'
import type { Grounds } from './visitor.ts'

export type GeneratorParts = Omit<Grounds, 'tally' | 'hasEnded' | 'timeoutMs' | 'lateMs' | 'think'>

/** How often the number of users is looked at. */
const adjustMs = 100

export class Generator {
  readonly #plan: LoadPlan
  readonly #journeys: readonly Journey[]
  readonly #weights: readonly number[]
  readonly #grounds: Grounds
  readonly #worlds = new Map<Journey['prepare'], unknown>()
  readonly #onFault: (error: Error) => void
  #tally = new Tally()
  #share = { index: 0, count: 1 }
  #startMs = NaN
  #arrivals: Arrivals | null = null
  #users = 0
  #usersWanted = 0
  #ended = false

  constructor(plan: LoadPlan, journeys: readonly Journey[], parts: GeneratorParts, onFault: (error: Error) => void) {
    this.#plan = plan
    this.#journeys = journeys
    this.#weights = journeys.map(({ weight }) => weight)
    this.#onFault = onFault
    this.#grounds = {
      ...parts, timeoutMs: plan.timeoutMs ?? planDefaults.timeoutMs, lateMs: plan.lateMs ?? planDefaults.lateMs, think: plan.think ?? planDefaults.think,
      tally: () => Number.isNaN(this.#startMs) ? null : this.#tally, hasEnded: () => this.#ended,
    }
  }

  /** Users in the middle of a journey, or between two. */
  get users(): number { return this.#users }
  get hasEnded(): boolean { return this.#ended }

  /** Runs each `prepare` once. */
  async prepare(): Promise<void> {
    for (const { name, prepare } of this.#journeys) {
      if (!prepare || this.#worlds.has(prepare)) continue
      try {
        this.#worlds.set(prepare, await prepare(new Visitor(this.#grounds)))
      } catch (error) { throw named(`the preparation of journey '${name}'`, error) }
    }
  }

  /** Time began at `startMs` of the monotonic clock. */
  begin(startMs: number): void {
    this.#startMs = startMs
    this.#grounds.agenda.at(startMs + this.#plan.durationMs, () => this.end())
    if (this.#plan.users) return this.#adjust()
    this.#arrivals = new Arrivals(this.#plan.rate!, Math.max(0, monotonicMs() - startMs))
    this.#arrive(this.#share.index + 1)
  }

  /** Which part of the load is this generator's. */
  setShare(index: number, count: number): void { this.#share = { index, count } }

  /** Nothing more is begun; what is asked for already may still be answered. */
  end(): void { this.#ended = true }

  /** What was counted since the last time. */
  takeTally(): Tally {
    const taken = this.#tally
    this.#tally = new Tally()
    return taken
  }

  #arrive(constantGap: number): void {
    // Of a Poisson stream a part chosen at random is one again; of a constant one every n-th.
    const gap = this.#plan.arrivals === 'constant' ? constantGap : exponential(this.#grounds.random, 1) * this.#share.count
    const atMs = this.#arrivals!.next(gap)
    if (atMs === null || atMs >= this.#plan.durationMs) return
    const dueMs = this.#startMs + atMs
    this.#grounds.agenda.at(dueMs, () => {
      if (this.#ended) return
      this.#users++
      void this.#travel(new Visitor(this.#grounds), this.#choose(), dueMs).finally(() => { this.#users-- })
      this.#arrive(this.#share.count)
    })
  }

  #adjust(): void {
    if (this.#ended) return
    const { index, count } = this.#share
    const wanted = Math.round(valueAt(this.#plan.users!, monotonicMs() - this.#startMs))
    this.#usersWanted = Math.floor((wanted + count - 1 - index) / count)
    while (this.#users < this.#usersWanted) {
      this.#users++
      void this.#live().finally(() => { this.#users-- })
    }
    this.#grounds.agenda.at(monotonicMs() + adjustMs, () => this.#adjust())
  }

  /** One user, until there are too many. */
  async #live(): Promise<void> {
    const visitor = new Visitor(this.#grounds)
    while (!this.#ended && this.#users <= this.#usersWanted) {
      const journey = this.#choose()
      // Thinks first as well, so that those who came together do not go on in step.
      const dueMs = monotonicMs() + exponential(this.#grounds.random, journey.thinkMs * this.#grounds.think)
      await this.#grounds.agenda.until(dueMs)
      await this.#travel(visitor, journey, dueMs)
    }
  }

  async #travel(visitor: Visitor, journey: Journey, dueMs: number): Promise<void> {
    if (this.#ended) return
    visitor.begin(journey, dueMs)
    this.#tally.started++
    try {
      await journey.run(visitor, this.#worlds.get(journey.prepare) as never)
      this.#tally.finished++
    } catch (error) {
      if (error instanceof JourneyOver) {
        if (error.gaveUp) this.#tally.gaveUp++
      } else this.#onFault(named(`journey '${journey.name}'`, error))
    }
  }

  #choose(): Journey {
    return this.#journeys.length === 1 ? this.#journeys[0]! : this.#journeys[weightedIndex(this.#grounds.random, this.#weights)]!
  }
}

/** A fault stays one; a programming error of the journey keeps its stack. */
function named(what: string, error: unknown): Error {
  return isTenfoldError(error) ? fault(error.code, `${what}: ${error.message}`) : new Error(`${what} failed: ${(error as Error).stack ?? String(error)}`)
}
