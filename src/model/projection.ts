/**
 * A projection is a read model that one service keeps from events. It gets batches, so
 * that a thousand events can be one statement; what is in a batch commits together, and a
 * failing batch is tried event by event. Rows name their own bucket, for a batch spans keys.
 */
import type { ProjectionContext } from './context.ts'
import type { Declared } from './intent.ts'
import type { Delivered, Event, PayloadOf } from './event.ts'

/** The delivered events of several declarations, told apart by `is`. */
export interface Batch<E extends Event> {
  readonly all: readonly Delivered<PayloadOf<E>>[]
  /** The events of one declaration, in order. */
  of<One extends E>(event: One): readonly Delivered<PayloadOf<One>>[]
}

export interface ProjectionDefinition<Tables, E extends Event> {
  readonly on: readonly E[]
  /** The tags of answers that show what this batch changes. */
  invalidates?(batch: Batch<E>): readonly string[]
  run(context: ProjectionContext<Tables>, batch: Batch<E>): Promise<void>
}

export interface Projection extends Declared<'projection'> {
  readonly definition: AnyProjectionDefinition
}

export interface AnyProjectionDefinition {
  readonly on: readonly Event[]
  invalidates?(batch: never): readonly string[]
  run(context: never, batch: never): Promise<void>
}
