/** What an application says about its users: journeys, each a way through it in steps. */

export interface StepOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Statuses that are good here. Default: 200 to 399. */
  readonly expect?: readonly number[]
  /** How long the user thinks before this step, on average. Default: the journey's. */
  readonly thinkMs?: number
  /** For a write: what must be found from now on, for `--ledger` and `--verify`. */
  readonly found?: (answer: Answer) => Expectation
}

/** What `tenfold load --verify` looks for: a GET of the path, its status, and texts that its body has or lacks. */
export interface Expectation {
  readonly path: string
  /** Default 200. */
  readonly status?: number
  readonly has?: string
  readonly lacks?: string
  /** They stand in the ledger as they are: no secrets that matter. */
  readonly headers?: Readonly<Record<string, string>>
}

export interface Answer {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  json<T = unknown>(): T
}

export interface User {
  /** Unlike any other user's, of this run and of others. */
  readonly id: string
  /** Sent with every step, beside the cookies that answers have set. */
  readonly headers: Record<string, string>
  /**
   * A step: thinks, sends, and resolves with a good answer. Any other ends the journey there, as
   * a user would give up. Steps are counted by their names, so a name has no ids in it.
   */
  get(step: string, path: string, options?: StepOptions): Promise<Answer>
  post(step: string, path: string, body?: unknown, options?: StepOptions): Promise<Answer>
  put(step: string, path: string, body?: unknown, options?: StepOptions): Promise<Answer>
  delete(step: string, path: string, options?: StepOptions): Promise<Answer>
  /** In [0, 1). */
  random(): number
  /** True so often. */
  chance(part: number): boolean
  pick<T>(list: readonly T[]): T
  /** By Zipf's law: the first most often, the n-th in proportion to 1 / n ** exponent (1). */
  popular<T>(list: readonly T[], exponent?: number): T
  /** A text that no other call of any run gives. */
  unique(): string
}

export interface JourneyOptions<World> {
  readonly name: string
  /** How often it is made, beside the others. Default 1. */
  readonly weight?: number
  /** Between two steps, on average; drawn from an exponential distribution. Default 1,000. */
  readonly thinkMs?: number
  /** Runs once before the load, in each process that makes it, uncounted and unhurried: finds what the journeys need. Shared by journeys that name the same function. */
  readonly prepare?: (user: User) => Promise<World>
  readonly run: (user: User, world: World) => Promise<void>
}

export interface Journey {
  readonly kind: 'journey'
  readonly name: string
  readonly weight: number
  readonly thinkMs: number
  readonly prepare: ((user: User) => Promise<unknown>) | undefined
  readonly run: (user: User, world: never) => Promise<void>
}

const thinkMsStandard = 1_000

export function journey<World = undefined>({ weight = 1, thinkMs = thinkMsStandard, prepare, ...rest }: JourneyOptions<World>): Journey {
  return { kind: 'journey', weight, thinkMs, prepare, ...rest }
}
