/** What a load run is asked for. Plain data: it crosses process boundaries. */
import type { Profile } from './profile.ts'

export interface LoadPlan {
  readonly url: string
  /** Files that export journeys; each generator imports them. */
  readonly files: readonly string[]
  /** Weights by name, instead of those that the journeys declare; the others are left out. */
  readonly mix?: Readonly<Record<string, number>>
  /** Open: journeys begin at this rate per second, whatever becomes of them. */
  readonly rate?: Profile
  /** Closed: this many users, one journey after another. Exactly one of `rate` and `users`. */
  readonly users?: Profile
  readonly arrivals?: 'poisson' | 'constant'
  readonly durationMs: number
  /** Not counted in the result, in whole seconds. */
  readonly warmupMs?: number
  /** A request without a whole answer by then has failed; from its intended moment. */
  readonly timeoutMs?: number
  /** Processes. Absent: one, and more while it is itself the limit, up to the cores. */
  readonly generators?: number
  /** Connections per generator. */
  readonly connectionsMax?: number
  readonly seed?: number
  /** A file to which acknowledged writes are appended. */
  readonly ledger?: string
  /** A request sent later than this after its intended moment is late. */
  readonly lateMs?: number
}

export const planDefaults = { arrivals: 'poisson', warmupMs: 0, timeoutMs: 10_000, connectionsMax: 1_000, lateMs: 20 } as const

/** What one generator is told; it answers with `FromGenerator`. */
export type ToGenerator =
  | { readonly kind: 'prepare'; readonly plan: LoadPlan; readonly index: number; readonly run: string }
  /** Time has begun `elapsedMs` ago, and of `count` shares this generator has one. */
  | { readonly kind: 'share'; readonly index: number; readonly count: number; readonly elapsedMs: number }
  | { readonly kind: 'end' }
