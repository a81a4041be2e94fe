/** The database port on Postgres. */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { randomHex } from '../../base/random.ts'
import { after, agreeOn, monotonicMs } from '../../base/time.ts'
import { primaryServer } from '../../ports/database.ts'
import type { Database, MigrationReport, Position, Reader, ReadWish, Result, ServiceSchema, Statement, Transaction, TransactionScope } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'
import { Connections } from './connection.ts'
import type { ConnectionOptions } from './connection.ts'
import { timedPositionText, toPosition } from './log-position.ts'
import type { PositionRow } from './log-position.ts'
import { membersOf } from './members.ts'
import { migrate } from './migration.ts'
import { isConnectionLoss, refusalOf } from './refusal.ts'
import { Replicas } from './replicas.ts'
import type { PrimaryReading } from './replicas.ts'
import { flush, gather } from './statement-batch.ts'
import { claimOwner, PostgresTransaction, setBucket } from './transaction.ts'

export interface PostgresDatabase extends Database {
  /** Calls back after each commit that put messages into the outbox; for a bus in the same process. */
  readonly onAppended: (callback: (names: ReadonlySet<string>) => void) => () => void
  /** The first word of what it notifies: a bus in the same process has been told already. */
  readonly sender: string
}

export const openPostgresDatabase = (options: ConnectionOptions): PostgresDatabase => new Driver(options)

/** Soon after a quiet time; while there are many commits less often, since each wakes every process that listens. */
const notifyDelayMs = 5
const notifySpacingMs = 40
/** NOTIFY carries less than 8,000 bytes; without names everybody looks. */
const notifyCharactersMax = 1_900
// Its commit need not be on disk: who misses it finds the messages by polling.
const notifyText = ofRuntime('outbox', `SELECT set_config('synchronous_commit', 'off', true), pg_notify('tenfold_outbox', $1)`)
/** The id goes in the moment in which the commit shows. */
const committingText = ofRuntime('committing', `
  SELECT pid || ' ' || backend_xid AS transaction FROM pg_stat_activity
  WHERE backend_xid IS NOT NULL AND (wait_event = 'SyncRep' OR query ~* '^\\s*(commit|end)\\M')`)
const pruneBatchRows = 1_000
/** Of the oldest rows only those that every consumer has read: one that was away finds everything. */
const pruneOutboxText = ofRuntime('prune', `
  DELETE FROM tenfold.outbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM (SELECT ctid, at FROM tenfold.outbox
      WHERE (tx, seq) <= (SELECT c.tx, c.seq FROM tenfold.cursor c ORDER BY c.tx, c.seq LIMIT 1)
      ORDER BY tx, seq LIMIT $2) AS oldest
    WHERE at < now() - $1 * interval '1 ms'))`)
/** Else nothing that came after a consumer was taken out of the application would ever be removed. */
const forgetText = ofRuntime('prune', `DELETE FROM tenfold.cursor WHERE updated_at < now() - $1 * interval '1 ms' AND consumer <> ALL ($2::text[]) RETURNING consumer`)
const pruneText = (table: string) => ofRuntime('prune', `
  DELETE FROM ${table} WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM ${table} WHERE at < now() - $1 * interval '1 ms' LIMIT $2 FOR UPDATE SKIP LOCKED))`)

const beginStatement: Statement = { text: 'BEGIN', values: [] }
const commitStatement: Statement = { text: 'COMMIT', values: [] }

class Driver implements PostgresDatabase {
  readonly #options: ConnectionOptions
  readonly #connections: Connections
  /** Null where there is one server only. */
  readonly #replicas: Replicas | null
  readonly #listeners = new Set<(names: ReadonlySet<string>) => void>()
  readonly #readers = new Map<string, PrimaryReader>()
  #nextPosition: Promise<Position> | undefined
  readonly #notifying = new Set<string>()
  #notifiedAtMs = -Infinity
  readonly sender = `from:${randomHex(6)}`
  #closed = false
  #running = 0
  #idle: (() => void) | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#connections = new Connections(options)
    const members = membersOf(options.url)
    this.#replicas = members && new Replicas(options, members, { position: () => this.position(), committing: () => this.#committing(), load: () => this.#running })
  }

  readonly onAppended = (callback: (names: ReadonlySet<string>) => void): (() => void) => {
    this.#listeners.add(callback)
    return () => { this.#listeners.delete(callback) }
  }

  async open(): Promise<void> {
    await this.#readPosition().catch((error: unknown) => { throw refusalOf(error) })
    await this.#replicas?.open()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#running > 0) await new Promise<void>(resolve => { this.#idle = resolve })
    await Promise.all([this.#replicas?.close(), this.#connections.close()])
  }

  migrate(schemas: readonly ServiceSchema[]): Promise<MigrationReport> {
    return this.#count(() => migrate(this.#connections, schemas))
  }

  async query<Row>(service: string, statement: Statement): Promise<Result<Row>> {
    this.#enter()
    try { return await this.#connections.read<Row>(service, statement) } finally { this.#leave() }
  }

  transaction<T>(scope: TransactionScope, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.#count(() => this.#transaction(scope, work))
  }

  async claimed(service: string, scope: string, value: string): Promise<string | null> {
    const { rows } = await this.query<{ owner: string }>(service, claimOwner(service, scope, value))
    return rows[0]?.owner ?? null
  }

  reader(service: string, wish: ReadWish): Reader | Promise<Reader> {
    let reader = this.#readers.get(service)
    if (!reader) this.#readers.set(service, reader = new PrimaryReader(this, service))
    if (!this.#replicas) return reader
    return wish.server === primaryServer ? this.#replicas.here(reader) : this.#replicas.choose(wish, reader)
  }

  /** Callers of the same moment share one statement, which starts after all of them called. */
  position(): Promise<Position> {
    return this.#nextPosition ??= new Promise((resolve, reject) => {
      setImmediate(() => {
        this.#nextPosition = undefined
        this.#readPosition().then(resolve, (error: unknown) => reject(refusalOf(error)))
      })
    })
  }

  async #readPosition(): Promise<Position> {
    const askedAtMs = monotonicMs()
    const { rows } = await this.#count(() => this.#connections.owner.query<PositionRow & { readonly at_ms: number }>({ name: 'tenfold_position', text: timedPositionText }))
    agreeOn(rows[0]!.at_ms, askedAtMs)
    return toPosition(rows[0]!)
  }

  async #committing(): Promise<readonly string[]> {
    const { rows } = await this.#count(() => this.#connections.owner.query<{ transaction: string }>({ name: 'tenfold_committing', text: committingText })).catch((error: unknown) => { throw refusalOf(error) })
    return rows.map(({ transaction }) => transaction)
  }

  async prune(consumers: readonly string[]): Promise<number> {
    const { rows } = await this.#count(() => this.#connections.owner.query<{ consumer: string }>(forgetText, [limits.consumerRetentionMs, consumers]))
    for (const { consumer } of rows) this.#options.log.info({ consumer }, 'a consumer that is gone is forgotten: the outbox is no longer kept for it')
    return await this.#pruneOne(pruneOutboxText, limits.outboxRetentionMs)
      + await this.#pruneOne(pruneText('tenfold.inbox'), limits.inboxRetentionMs)
      + await this.#pruneOne(pruneText('tenfold.idempotency'), limits.idempotencyRetentionMs)
  }

  /** In small transactions: a long one would hold the horizon back, and every consumer with it. */
  async #pruneOne(text: string, ageMs: number): Promise<number> {
    for (let total = 0; ;) {
      const { rowCount } = await this.#count(() => this.#connections.owner.query(text, [ageMs, pruneBatchRows]))
      total += rowCount ?? 0
      if ((rowCount ?? 0) < pruneBatchRows) return total
    }
  }

  async healthy(): Promise<boolean> {
    return this.#connections.owner.query('SELECT 1').then(() => true, () => false)
  }

  async #transaction<T>(scope: TransactionScope, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    if (monotonicMs() >= scope.deadlineMonotonicMs) throw fault('DEADLINE_EXCEEDED')
    this.#replicas?.require(scope.after)
    const writers = this.#connections.writers(scope.service)
    const client = await writers.lend({ deadlineMonotonicMs: scope.deadlineMonotonicMs, mayBeRefused: scope.mayBeRefused ?? false }).catch((error: unknown) => { throw refusalOf(error) })
    const transaction = new PostgresTransaction(client, scope)
    let broken: Error | undefined
    const onError = (error: Error) => { broken = error }
    client.on('error', onError)
    try {
      // Not awaited: it travels with the first statement. Its failure shows again at COMMIT.
      const begun = Promise.all([gather(client, beginStatement), scope.bucket === null ? null : gather(client, setBucket(scope.bucket))])
      begun.catch(() => {})
      const value = await work(transaction)
      transaction.end()
      await Promise.all([begun.catch((error: unknown) => { throw refusalOf(error) }), commit(client, this.#replicas !== null), transaction.sendPosition()])
      if (transaction.appended.size > 0) this.#announce(transaction.appended)
      return value
    } catch (error) {
      transaction.end()
      flush(client)
      const lost = await client.query('ROLLBACK').then(() => undefined, (failure: Error) => failure)
      broken ??= lost
      throw transaction.failure ?? error
    } finally {
      client.off('error', onError)
      writers.release(client, broken)
    }
  }

  /** Wakes the consumers of these names: at once in this process, and soon, once for many commits, in others. */
  #announce(names: ReadonlySet<string>): void {
    for (const listener of this.#listeners) listener(names)
    const isDue = this.#notifying.size > 0
    for (const name of names) this.#notifying.add(name)
    if (isDue) return
    after(Math.max(notifyDelayMs, this.#notifiedAtMs + notifySpacingMs - monotonicMs()), () => {
      this.#notifiedAtMs = monotonicMs()
      const text = [this.sender, ...this.#notifying].join(' ')
      this.#notifying.clear()
      if (this.#closed) return
      void this.#count(() => this.#connections.owner.query({ name: 'tenfold_notify', text: notifyText, values: [text.length < notifyCharactersMax ? text : this.sender] }))
        .catch((error: unknown) => this.#options.log.debug({ err: error }, 'consumers elsewhere will find it by polling'))
    }, true)
  }

  async #count<T>(work: () => Promise<T>): Promise<T> {
    this.#enter()
    try { return await work() } finally { this.#leave() }
  }

  #enter(): void {
    if (this.#closed) throw fault('UNAVAILABLE', 'the database is closed')
    this.#running++
  }

  #leave(): void { if (--this.#running === 0) this.#idle?.() }
}

/** Reads where everything is written. */
class PrimaryReader implements PrimaryReading {
  readonly server = primaryServer
  readonly shows = null
  readonly #database: Database
  readonly service: string

  constructor(database: Database, service: string) {
    this.#database = database
    this.service = service
  }

  query<Row>(statement: Statement): Promise<Result<Row>> { return this.#database.query<Row>(this.service, statement) }
  claimed(scope: string, value: string): Promise<string | null> { return this.#database.claimed(this.service, scope, value) }
  shown(): Promise<Position> { return this.#database.position() }
}

/** A commit that stopped waiting for its replicas is on one disk only, and Postgres says so in a warning: it stays, or not. */
async function commit(client: pg.ClientBase, isReplicated: boolean): Promise<void> {
  if (!isReplicated) return commitAlone(client)
  let isAlone = false
  const onNotice = ({ routine }: { readonly routine?: string | undefined }) => { if (routine === 'SyncRepWaitForLSN') isAlone = true }
  client.on('notice', onNotice)
  await commitAlone(client).finally(() => client.off('notice', onNotice))
  if (isAlone) throw fault('OUTCOME_UNKNOWN', 'no replica confirmed the commit in time')
}

async function commitAlone(client: pg.ClientBase): Promise<void> {
  const { command } = await gather(client, commitStatement).catch((error: unknown) => {
    if (isConnectionLoss(error)) throw fault('OUTCOME_UNKNOWN', undefined, { cause: error })
    throw refusalOf(error)
  })
  // A transaction in which a statement failed answers COMMIT with ROLLBACK.
  if (command !== 'COMMIT') throw new Error('the transaction was rolled back: a statement in it had failed and the handler went on')
}
