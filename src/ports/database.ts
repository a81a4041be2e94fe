/**
 * The database port: durable tables, one schema and one role per service, every keyed
 * row in a bucket. A driver owns connections, prepared statements, the runtime's own
 * tables (outbox, inbox, idempotency, claims) and the refusals that protect them.
 *
 * Contract
 * - A statement runs as the role of its service and can touch that service's schema only.
 * - `transaction` is one transaction on the shard that owns `bucket`; when its promise
 *   resolves, everything in it is on disk (I13); when it rejects, nothing is, unless the
 *   error is OUTCOME_UNKNOWN.
 * - A write to a keyed row of another bucket than the transaction's is refused by the
 *   database itself (SQLSTATE TF002).
 * - Refusals that a new try may pass (serialisation, dead lock, moved bucket, lost
 *   connection before COMMIT) reject with a retryable TenfoldError; the caller retries.
 * - Where there are several servers, one is the primary; the others may be behind, and only a
 *   reader goes there. A server that was the primary once is not written to.
 * - A statement that comes after its transaction has ended is refused: it belongs to nothing.
 * - `close` waits for running work, is idempotent, and fails what comes later with UNAVAILABLE.
 */

export interface Statement {
  readonly text: string
  readonly values: readonly unknown[]
  /** True when the text is one of few: the driver then prepares it under a name. Default true. */
  readonly prepare?: boolean
}

export interface Result<Row> {
  readonly rows: Row[]
  /** Rows inserted, updated or deleted. */
  readonly affected: number
}

export interface Session {
  query<Row>(statement: Statement): Promise<Result<Row>>
}

/** A fact or a piece of work that commits with its command and leaves through the outbox. */
export interface Message {
  /** Unique for ever; consumers recognise a second delivery by it. */
  readonly id: string
  readonly kind: 'event' | 'job'
  /** `<service>.<event or job>`. */
  readonly name: string
  /** Order is kept among the messages of one key. */
  readonly key: string
  readonly bucket: number
  readonly payload: unknown
  /** Milliseconds since 1970. */
  readonly atMs: number
  /** Carried along for traces: W3C traceparent. */
  readonly traceparent?: string | undefined
  /** Jobs only: not before this time. */
  readonly runAtMs?: number | undefined
}

export interface Claim { readonly scope: string; readonly value: string; readonly owner: string }

/** How far a consumer of this database's own log has come with what a transaction does: made by the bus. */
export interface Advance {
  readonly consumer: string
  /** Of whoever delivers now. */
  readonly epoch: string
  readonly tx: string
  readonly seq: string
}

/** What a first call left behind under its idempotency key. */
export interface Remembered { readonly fingerprint: string; readonly answer: unknown }

export interface Transaction extends Session {
  /** Null only in projections, which span the keys of one shard. */
  readonly bucket: number | null
  /** A statement that nobody waits for: when it fails, so do those behind it and the transaction. Throws at once when it cannot be sent. */
  send(statement: Statement): void
  /** Claims a value that is unique within its scope; rejects with CONFLICT (fields[scope]) when another owner has it. */
  claim(claim: Claim): Promise<void>
  /** Gives a claim back; nothing happens when the owner does not hold it. */
  unclaim(claim: Claim): Promise<void>
  /** The answer already given under this key, or null. Sees committed calls only. */
  recall(scope: string, key: string): Promise<Remembered | null>
  /** Keeps the answer; rejects with IDEMPOTENCY_IN_FLIGHT when a concurrent call was first, and the transaction fails, though nobody waits for it. */
  remember(scope: string, key: string, remembered: Remembered): Promise<void>
  /** Of these message ids, the ones this consumer has not handled; marks them handled. */
  firstSeen(consumer: string, messages: readonly Pick<Message, 'id' | 'bucket'>[]): Promise<Set<string>>
  /** Commits how far the consumer is, instead of an inbox; rejects with CONFLICT when another process delivers to it by now. */
  advance(advance: Advance): Promise<void>
  /** Puts messages into the outbox. */
  append(messages: readonly Message[]): Promise<void>
  /** What follows belongs to this bucket: for deliveries of several keys that commit together. Not in a projection's transaction. */
  enter(bucket: number): void
  /** Asked for before the end: a position that covers this transaction, taken right behind COMMIT; null when it could not be had. Never resolves when nothing commits. */
  committed(): Promise<Position | null>
}

export interface TransactionScope {
  readonly service: string
  readonly bucket: number | null
  /** Monotonic time after which no further statement starts. */
  readonly deadlineMonotonicMs: number
  /** When connections are short it is refused soon (OVERLOADED), instead of waiting for one until the deadline. Default false. */
  readonly mayBeRefused?: boolean
  /** What the session has seen: it is not written where that was never known. */
  readonly after?: readonly Position[]
}

/** A point in the log of one shard: everything committed before it was taken lies at or below it. */
export interface Position {
  readonly shard: number
  readonly timeline: number
  readonly lsn: bigint
}

/** Where the statements of one query go. */
export interface Reader extends Session {
  /** Which of several servers it is. */
  readonly server: string
  /** Everything committed up to here shows, and was known to before the first statement. Null where there is one server: whatever has been acknowledged shows. */
  readonly shows: Position | null
  /** The owner of a claimed value, or null. */
  claimed(scope: string, value: string): Promise<string | null>
  /** A position that covers everything it has shown so far. */
  shown(): Promise<Position>
}

export interface ReadWish {
  /** What the session has written and seen must show. */
  readonly after: readonly Position[]
  /** Read at this server, as the caller does; at the primary when it cannot be had. */
  readonly server?: string | undefined
}

/** The server that every write goes to. */
export const primaryServer = 'primary'

export interface Committed<T> { readonly value: T }

export interface Migration {
  readonly number: number
  readonly name: string
  readonly sql: string
  readonly checksum: string
}

export interface ServiceSchema {
  readonly service: string
  readonly migrations: readonly Migration[]
  /** Tables that need no bucket: small, the same on every shard. */
  readonly reference: readonly string[]
}

export interface TableShape {
  readonly table: string
  readonly keyed: boolean
  /** What breaks the key rules, each with its mend; empty when all is well. */
  readonly faults: readonly string[]
}

export interface MigrationReport {
  readonly applied: readonly { readonly service: string; readonly name: string }[]
  readonly tables: Readonly<Record<string, readonly TableShape[]>>
}

export interface Database {
  open(): Promise<void>
  close(): Promise<void>
  /** Brings every service's schema and role, and the runtime's own tables, up to date. Safe when several processes do it at once. */
  migrate(schemas: readonly ServiceSchema[]): Promise<MigrationReport>
  /** One statement outside a transaction, on the primary. */
  query<Row>(service: string, statement: Statement): Promise<Result<Row>>
  /** Where a query of this service reads: a replica that shows what is wished, or the primary after a bounded wait. At once where nothing is waited for. */
  reader(service: string, wish: ReadWish): Reader | Promise<Reader>
  transaction<T>(scope: TransactionScope, work: (transaction: Transaction) => Promise<T>): Promise<T>
  /** The owner of a claimed value, or null. */
  claimed(service: string, scope: string, value: string): Promise<string | null>
  /** A position that covers every commit acknowledged before the call. */
  position(): Promise<Position>
  /**
   * Removes what the retention limits no longer keep; returns how many rows. A message stays until every
   * consumer has it: who is not of `consumers` and has stood still for consumerRetentionMs is forgotten.
   */
  prune(consumers: readonly string[]): Promise<number>
  /** True when the engine answers. */
  healthy(): Promise<boolean>
}
