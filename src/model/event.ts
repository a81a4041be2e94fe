/**
 * An event is a fact that a command emitted; it commits with the command or not at all (I2).
 * A subscription is one service's reaction to events: a transaction of its own under the
 * key it names, at least once and in order per key, with its effect once (I3).
 */
import type { HandlerContext } from './context.ts'
import type { Declared, Key, Parsed, Schema } from './intent.ts'

export interface Event<P = unknown> extends Declared<'event'> {
  readonly schema: Schema
  readonly $types?: { readonly payload: P }
}

export type PayloadOf<E> = E extends Event<infer P> ? P : never

/** An event as a handler gets it. */
export interface Delivered<P = unknown> {
  readonly id: string
  readonly name: string
  readonly key: string
  readonly bucket: number
  readonly atMs: number
  readonly payload: P
}

export interface SubscriptionDefinition<Tables, E extends Event> {
  readonly on: E
  /** The key the reaction writes to; default: the event's own key. */
  key?(payload: PayloadOf<E>): Key
  run(context: HandlerContext<Tables>, event: Delivered<PayloadOf<E>>): Promise<void>
}

export interface Subscription extends Declared<'subscription'> {
  readonly definition: AnySubscriptionDefinition
}

export interface AnySubscriptionDefinition {
  readonly on: Event
  key?(payload: never): Key
  run(context: never, event: never): Promise<void>
}

export type EventSchema<S extends Schema> = Event<Parsed<S>>
