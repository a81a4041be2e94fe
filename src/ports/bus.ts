/**
 * The bus port: events delivered to every subscribed consumer, at least once, in order
 * per key.
 *
 * Contract
 * - A published message reaches every consumer that subscribes to its name, also those
 *   that were away when it was published; a new consumer starts at the beginning of what is kept.
 * - Messages of one key reach a consumer in the order of their commits; of different keys, in any order.
 * - `handle` gets a batch and either resolves (all are done) or rejects (none is): after a
 *   rejection the messages come again, one at a time. One that fails `attemptsMax` times
 *   becomes a dead letter; meanwhile only the messages of its key wait.
 * - A driver whose log is the database's own may offer an `advance`: a handler that commits it
 *   with its effects (Transaction.advance) has them once, without an inbox. Without one, or
 *   where it is not taken, consumers keep an inbox.
 * - Publishing the same id twice delivers it at least once.
 * - `stop` waits for the running batch; what was not handled comes again after the next start.
 */
import type { Advance, Message, Position } from './database.ts'

export interface Subscription {
  /** Consumers with the same name share the work; each message goes to one of them. */
  readonly consumer: string
  /** Message names, `<service>.<event>`; of kind job when `kind` is 'job' (all names). */
  readonly names: readonly string[] | 'jobs'
  readonly attemptsMax: number
  /** Delay before another try of a failed message: base doubled each time up to cap, in milliseconds. */
  readonly backoff: { readonly baseMs: number; readonly capMs: number }
  /** A message may wait so long for others to come along; not while somebody waits for it (caughtUp). Default: a few milliseconds. */
  readonly gatherMs?: number
  /** The most messages of a batch. Default: limits.batchEventsMax. */
  readonly batchMax?: number
  /** Resolves with 'advanced' when it has committed the advance with its effects. */
  handle(batch: readonly Message[], advance?: Advance | null): Promise<'advanced' | void>
}

export interface Subscribed {
  stop(): Promise<void>
}

export interface Depth {
  /** Committed and not yet handled. */
  readonly waiting: number
  readonly oldestAgeMs: number
  readonly parked: number
  readonly dead: number
}

export interface DeadLetter {
  readonly consumer: string
  readonly message: Message
  readonly attempts: number
  readonly error: string
  readonly atMs: number
}

export interface Bus {
  open(): Promise<void>
  close(): Promise<void>
  /** Appends messages outside a command. Commands append through their transaction. */
  publish(messages: readonly Message[]): Promise<void>
  subscribe(subscription: Subscription): Promise<Subscribed>
  /**
   * True as soon as the consumer has handled everything that the holder of the position may
   * have seen, or, without one, everything that was committed before this call; false when
   * that takes longer than timeoutMs. A driver may wait for more, never for less.
   *
   * A message that failed holds back whoever may have seen it, until it passes or is a dead
   * letter; a position from before it was written is not held back by it.
   */
  caughtUp(consumer: string, timeoutMs: number, position?: Position): Promise<boolean>
  depth(consumer: string): Promise<Depth>
  deadLetters(consumer: string, limit: number): Promise<DeadLetter[]>
  /** Delivers a dead letter again; false when there is none. */
  replay(consumer: string, messageId: string): Promise<boolean>
}
