/**
 * What a handler gets besides its input, and its only door to the world: the database of
 * its own service, the caller, time, calls to other services, events and jobs.
 */
import type { Kysely } from 'kysely'
import type { JsonText } from '../base/json-text.ts'
import type { Logger } from '../base/log.ts'
import type { Caller } from '../ports/transport.ts'
import type { Command } from './command.ts'
import type { Event } from './event.ts'
import type { Key } from './intent.ts'
import type { Job } from './job.ts'
import type { Query } from './query.ts'

/**
 * Plain SQL as a tagged template: values become parameters, and the text is prepared once
 * per connection. `await sql<{ slug: string }>`select slug from article where id = ${id}``.
 */
export type Sql = <Row = Record<string, unknown>>(text: TemplateStringsArray, ...values: readonly unknown[]) => Promise<Row[]>

/** The same, for what has no answer. */
export type Write = (text: TemplateStringsArray, ...values: readonly unknown[]) => void

interface ReadingContext<Tables> {
  /** Kysely over the service's own tables. Keyed tables are limited to the context's bucket. */
  readonly db: Kysely<Tables>
  readonly sql: Sql
  /** Time of the call; the same throughout. */
  readonly now: Date
  readonly log: Logger
  /** Aborts when the deadline has passed or the client has gone. */
  readonly signal: AbortSignal
  readonly requestId: string
  /** Calls a query of any service. */
  call<I, O>(intent: Query<I, O>, input: I): Promise<O>
  /** The same, its answer as a text: to be put into another one. */
  callText<I, O>(intent: Query<I, O>, input: I): Promise<JsonText<O>>
  /** The owner of a value claimed within this service, or null. */
  claimed(scope: string, value: string): Promise<string | null>
  /** The bucket of a key, for rows that are not written through the context's own key. */
  bucketOf(key: Key): number
}

export interface QueryContext<Tables = unknown, User extends Caller | null = Caller | null> extends ReadingContext<Tables> {
  readonly user: User
  /** Null in a scatter query. */
  readonly bucket: number | null
}

interface WritingContext {
  /**
   * SQL outside the transaction, before it or beside it: what has committed, nothing of what this
   * transaction does. A command that reads so and then only writes is one round trip of its transaction.
   */
  readonly read: Sql
  /**
   * SQL whose answer nobody needs. It travels with the next statement, or with COMMIT: that saves
   * a round trip, and its locks are held only so long. When it fails, so does the transaction.
   */
  readonly write: Write
  /** Emits an event with this transaction; its key is the transaction's unless another is given. */
  emit<P>(event: Event<P>, payload: P, options?: { readonly key?: Key }): void
  /** Enqueues a job with this transaction. */
  enqueue<I>(job: Job<I>, input: I, options?: { readonly afterMs?: number }): void
  /** Answers that carry one of these tags are no longer true: forgets them everywhere when the transaction has committed. */
  invalidate(...tags: readonly string[]): void
  /** A new id in the transaction's bucket. */
  newId(): string
}

export interface CommandContext<Tables = unknown, User extends Caller | null = Caller | null> extends ReadingContext<Tables>, WritingContext {
  readonly user: User
  readonly bucket: number
  /** Claims a value that is unique in the service (all buckets); CONFLICT when another owner has it. */
  claim(scope: string, value: string, owner: string): Promise<void>
  unclaim(scope: string, value: string, owner: string): Promise<void>
}

export interface HandlerContext<Tables = unknown> extends ReadingContext<Tables>, WritingContext {
  readonly bucket: number
  /** Calls a query or a command of any service; a command gets an idempotency key of this delivery. */
  call<I, O>(intent: Query<I, O> | Command<I, O>, input: I): Promise<O>
}

export interface ProjectionContext<Tables = unknown> extends Pick<ReadingContext<Tables>, 'db' | 'sql' | 'log' | 'bucketOf' | 'now'> {}
