/** A query reads; it has a key, or is declared `scatter` and may look at every bucket. */
import type { JsonText } from '../base/json-text.ts'
import type { QueryContext } from './context.ts'
import type { Accepted, Auth, Declared, HttpRoute, Key, Parsed, Policy, Schema, UserOf } from './intent.ts'
import type { Freshness } from './freshness.ts'
import type { Projection } from './projection.ts'

export interface QueryDefinition<Tables, I extends Schema, O extends Schema, A extends Auth> extends Policy {
  readonly http?: HttpRoute
  readonly auth?: A
  /** HTTP status of success. Default 200. */
  readonly status?: number
  readonly input: I
  readonly output: O
  /** The key whose bucket holds the answer. Required unless `scatter`. */
  key?(input: Parsed<I>, caller: { readonly user: UserOf<A> }): Key
  /** The answer comes from all buckets. */
  readonly scatter?: true
  /** Read models the answer comes from: a session's call waits until they show what it has written. */
  readonly reads?: readonly Projection[]
  /** May be cached, and for how long. Default: never. */
  readonly freshness?: Freshness
  /** What the answer shows; invalidating one of them forgets it. `output` is null when there was no such thing. */
  tags?(input: Parsed<I>, facts: { readonly user: UserOf<A>; readonly output: Parsed<O> | null }): readonly string[]
  readonly summary?: string
  /** A `JsonText` is passed on as it is; of those, only samples are checked against `output`. */
  run(context: QueryContext<Tables, UserOf<A>>, input: Parsed<I>): Promise<Accepted<O> | JsonText> | Accepted<O> | JsonText
}

export interface Query<I = unknown, O = unknown> extends Declared<'query'> {
  readonly definition: AnyQueryDefinition
  /** Types only: what a caller gives and gets. */
  readonly $types?: { readonly input: I; readonly output: O }
}

/** The definition with its types forgotten, as the runtime sees it. */
export interface AnyQueryDefinition extends Policy {
  readonly http?: HttpRoute
  readonly auth?: Auth
  readonly status?: number
  readonly input: Schema
  readonly output: Schema
  key?(input: never, caller: never): Key
  readonly scatter?: true
  readonly reads?: readonly Projection[]
  readonly freshness?: Freshness
  tags?(input: never, facts: never): readonly string[]
  readonly summary?: string
  run(context: never, input: never): unknown
}
