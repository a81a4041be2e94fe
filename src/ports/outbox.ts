/**
 * The outbox port: events that have committed, for who carries them to a broker, and a place
 * for those that a broker's consumers could not handle.
 *
 * Contract
 * - Of all relays of one outbox one leads at a time. It gets every event once it is committed
 *   and nothing can commit before it any more, in the order of their places; the next batch
 *   only when the one before is carried. What was not carried comes again, from where
 *   `begin` says the broker is.
 * - `carried` is true as soon as every event of these names that the holder of the position
 *   may have seen is carried; without a position, every one that was committed before the call.
 * - An event is kept until every consumer that `note` names has handled it.
 * - What is parked stays until it is unparked or dead; parking it again changes nothing.
 */
import type { Subscribed } from './bus.ts'
import type { Message, Position } from './database.ts'

/** Orders the events of an outbox. */
export interface OutboxPlace { readonly tx: string; readonly seq: string }

export interface OutboxEntry extends OutboxPlace {
  /** Where the log stood when it was written: a position beyond it may have seen it, one at or below it cannot. */
  readonly lsn: bigint
  readonly message: Message
}

export interface Carrier {
  /** This relay leads now: how far the broker is, null for a broker that has nothing. */
  begin(signal: AbortSignal): Promise<OutboxPlace | null>
  /** Resolves when the broker has these for good, in this order; waits for a broker that is away. Rejects when the signal aborts. */
  carry(entries: readonly OutboxEntry[], signal: AbortSignal): Promise<void>
}

/** How far a consumer is. */
export interface ConsumerPlace extends OutboxPlace { readonly consumer: string; readonly names: readonly string[] }

/** The messages of a consumer whose bucket modulo `count` is `index`. */
export interface Part { readonly consumer: string; readonly index: number; readonly count: number }

/** What waits for another try: the keys, and the least LSN; null for none. */
export interface Blocked { readonly keys: Set<string>; readonly lsn: bigint | null }

export interface Parking {
  park(entries: readonly OutboxEntry[], attempts: number, delayMs: number, error: string): Promise<void>
  blocked(): Promise<Blocked>
  /** The oldest of each key, when its time has come. */
  due(): Promise<(OutboxEntry & { readonly attempts: number })[]>
  unpark(place: OutboxPlace): Promise<void>
  /** It failed again: another try after delayMs, or none when it is dead. */
  fail(place: OutboxPlace, attempts: number, delayMs: number, dead: boolean, error: string): Promise<void>
}

export interface Outbox {
  open(): Promise<void>
  close(): Promise<void>
  relay(carrier: Carrier): Promise<Subscribed>
  carried(names: readonly string[], timeoutMs: number, position?: Position): Promise<boolean>
  /** Writes down how far consumers are, for who asks the outbox what waits, and for pruning. */
  note(places: readonly ConsumerPlace[]): Promise<void>
  /** What was written down last, by whatever bus the consumers were on. */
  noted(): Promise<readonly ConsumerPlace[]>
  parking(part: Part): Parking
}
