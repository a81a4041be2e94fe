/** A command writes: exactly one transaction on the shard that owns its key (I1). */
import type { CommandContext } from './context.ts'
import type { Acceptance } from './upload.ts'
import type { Projection } from './projection.ts'
import type { SessionChange } from './session.ts'
import type { Accepted, Auth, Declared, HttpRoute, Key, Parsed, Policy, Schema, UserOf } from './intent.ts'

export interface CommandDefinition<Tables, I extends Schema, O extends Schema, A extends Auth> extends Policy {
  readonly http?: HttpRoute
  readonly auth?: A
  /** HTTP status of success. Default 200; 204 sends no body. */
  readonly status?: number
  readonly input: I
  readonly output: O
  /** The key whose bucket the transaction writes to. */
  key(input: Parsed<I>, caller: { readonly user: UserOf<A> }): Key
  /** Read models its answer shows: a session's call waits until they show what it has written. */
  readonly reads?: readonly Projection[]
  /** The tags of answers that are no longer true; they are forgotten everywhere when the command has committed. */
  invalidates?(input: Parsed<I>, facts: { readonly user: UserOf<A>; readonly output: Parsed<O> }): readonly string[]
  /** What becomes of its caller's session, or of others. */
  readonly session?: SessionChange<Parsed<O>, UserOf<A>>
  readonly summary?: string
  run(context: CommandContext<Tables, UserOf<A>>, input: Parsed<I>): Promise<Accepted<O>>
}

export interface Command<I = unknown, O = unknown> extends Declared<'command'> {
  readonly definition: AnyCommandDefinition
  readonly $types?: { readonly input: I; readonly output: O }
}

export interface AnyCommandDefinition extends Policy {
  readonly http?: HttpRoute
  readonly auth?: Auth
  readonly status?: number
  readonly input: Schema
  readonly output: Schema
  /** Its body is a file, not JSON. */
  readonly accepts?: Acceptance
  readonly reads?: readonly Projection[]
  key(input: never, caller: never): Key
  invalidates?(input: never, facts: never): readonly string[]
  readonly session?: SessionChange<never, never>
  readonly summary?: string
  run(context: never, input: never): unknown
}
