/**
 * One transaction of a command, job or handler, with what it emits and enqueues.
 *
 * The transaction begins with the first statement, so that hashing or a call made before
 * it holds no connection. Messages are collected and appended just before COMMIT (I2).
 *
 *   new ── first statement ──▶ open ── finish ──▶ committed
 *    └──────── finish without statements or messages: nothing to commit
 *
 * Several deliveries may share it, each through a share of its own.
 */
import { bucketOf, newId } from '../base/id.ts'
import { agreedNow, now } from '../base/time.ts'
import type { Event } from '../model/event.ts'
import type { Key } from '../model/intent.ts'
import type { Job } from '../model/job.ts'
import { routed } from '../model/key.ts'
import type { Database, Message, Position, Result, Statement, Transaction, TransactionScope } from '../ports/database.ts'
import { invalidatedMessage } from './invalidation.ts'
import type { Invalidation } from './invalidation.ts'
import { parseOwn } from './schema.ts'
import type { Span } from './span.ts'
import { tracedTransaction } from './traced-transaction.ts'

export interface WorkSurroundings {
  readonly database: Database
  /** Null where nothing is cached. */
  readonly invalidation: Invalidation | null
}

/** What a handler writes through: a unit of work, or its share of one. */
export interface Work {
  transaction(): Promise<Transaction>
  run<Row>(statement: Statement): Promise<Result<Row>>
  /** It goes with the next statement of the same bucket, or with COMMIT. */
  write(statement: Statement): void
  emit(event: Event, payload: unknown, key?: Key): void
  enqueue(job: Job, input: unknown, afterMs: number | undefined): void
  invalidate(tags: readonly string[]): void
}

/** Under which key something is done; with a traceparent its messages go on with that trace, else with the span's. */
export interface Origin { readonly key: string; readonly bucket: number; readonly traceparent: string | null }

export class UnitOfWork implements Work {
  readonly #surroundings: WorkSurroundings
  readonly #scope: TransactionScope & { readonly bucket: number }
  readonly #origin: Origin
  readonly #span: Span
  readonly #pending: ((traceparent: string) => Promise<Message>)[] = []
  readonly #writes: { readonly bucket: number; readonly statement: Statement }[] = []
  readonly #tags = new Set<string>()
  /** The message that carries the tags. */
  #invalidated: Message | undefined
  #opening: Promise<Transaction> | undefined
  #finished: Promise<void> | undefined
  #end: { resolve(): void; reject(error: unknown): void } | undefined

  constructor(surroundings: WorkSurroundings, scope: TransactionScope & { readonly bucket: number }, key: string, span: Span) {
    this.#surroundings = surroundings
    this.#scope = scope
    this.#origin = { key, bucket: scope.bucket, traceparent: null }
    this.#span = span
  }

  /** True when there is something to commit. */
  get isDue(): boolean { return this.#opening !== undefined || this.#writes.length > 0 || this.#pending.length > 0 || this.#tags.size > 0 }

  transaction(): Promise<Transaction> {
    return this.#opening ??= new Promise<Transaction>((opened, failed) => {
      this.#finished = tracedTransaction(this.#surroundings.database, this.#scope, this.#span, transaction => {
        opened(transaction)
        return new Promise<void>((resolve, reject) => { this.#end = { resolve, reject } })
      })
      // Before it opened, the failure belongs to whoever asked for it; afterwards to `finish`.
      this.#finished.catch(failed)
    })
  }

  /**
   * The part of one delivery among several that commit together. Those of different buckets
   * may run at the same time: each statement goes under the bucket of its own delivery.
   */
  share(origin: Origin): Work {
    return {
      // Claims lie in the bucket of their value, whatever bucket the transaction is in.
      transaction: () => this.transaction(),
      run: async statement => {
        const transaction = await this.transaction()
        // Nothing comes between entering the bucket and sending the statement.
        this.#sendWrites(transaction, origin.bucket)
        transaction.enter(origin.bucket)
        return transaction.query(statement)
      },
      write: statement => { this.#writes.push({ bucket: origin.bucket, statement }) },
      emit: (event, payload, key) => this.#emit(origin, event, payload, key),
      enqueue: (job, input, afterMs) => this.#enqueue(origin, job, input, afterMs),
      invalidate: tags => this.invalidate(tags),
    }
  }

  /** Asked for before `finish`: see Transaction.committed. Only where something is due. */
  async committed(): Promise<Position | null> {
    return (await this.transaction()).committed()
  }

  async run<Row>(statement: Statement): Promise<Result<Row>> {
    const transaction = await this.transaction()
    if (this.#writes.length > 0) this.#sendWrites(transaction, this.#scope.bucket)
    return transaction.query<Row>(statement)
  }

  write(statement: Statement): void { this.#writes.push({ bucket: this.#scope.bucket, statement }) }

  /** Those of this bucket; of all, bucket by bucket, without one. */
  #sendWrites(transaction: Transaction, bucket?: number): void {
    const due = this.#writes.filter(one => bucket === undefined || one.bucket === bucket)
    const later = this.#writes.filter(one => !due.includes(one))
    this.#writes.splice(0, Infinity, ...later)
    for (const { bucket, statement } of due.sort((one, other) => one.bucket - other.bucket)) {
      transaction.enter(bucket)
      transaction.send(statement)
    }
  }

  emit(event: Event, payload: unknown, key?: Key): void { this.#emit(this.#origin, event, payload, key) }

  enqueue(job: Job, input: unknown, afterMs: number | undefined): void { this.#enqueue(this.#origin, job, input, afterMs) }

  #emit(origin: Origin, event: Event, payload: unknown, given: Key | undefined): void {
    const { key, bucket } = given === undefined ? origin : routed(given)
    this.#pending.push(async traceparent => ({
      id: newId(bucket), kind: 'event', name: event.name, key, bucket, atMs: now(), traceparent: origin.traceparent ?? traceparent,
      payload: await parseOwn(event.schema, payload, event),
    }))
  }

  #enqueue(origin: Origin, job: Job, input: unknown, afterMs: number | undefined): void {
    const key = job.definition.key as ((input: unknown) => Key) | undefined
    const id = newId(key ? routed(key(input)).bucket : origin.bucket)
    this.#pending.push(async traceparent => ({
      id, kind: 'job', name: job.name, key: key ? routed(key(input)).key : id, bucket: key ? routed(key(input)).bucket : bucketOf(id),
      atMs: now(), traceparent: origin.traceparent ?? traceparent, runAtMs: afterMs ? agreedNow() + afterMs : undefined,
      payload: await parseOwn(job.definition.input, input, job),
    }))
  }

  /** Answers with these tags are no longer true once this has committed. */
  invalidate(tags: readonly string[]): void {
    if (this.#surroundings.invalidation) for (const tag of tags) this.#tags.add(tag)
  }

  /** After `finish`: makes every cache forget. */
  async spread(): Promise<void> {
    if (this.#invalidated) await this.#span.begin('invalidate', this.#scope.service).around(this.#surroundings.invalidation!.spread([...this.#tags], [this.#invalidated.id]))
  }

  /** Appends the messages and commits; true when something was committed. */
  async finish(): Promise<boolean> {
    if (this.#writes.length > 0) this.#sendWrites(await this.transaction())
    if (this.#pending.length > 0 || this.#tags.size > 0) {
      const span = this.#span.begin('append', this.#scope.service)
      const messages = await Promise.all(this.#pending.map(make => make(span.traceparent)))
      if (this.#tags.size > 0) messages.push(this.#invalidated = invalidatedMessage(this.#scope.service, this.#origin.bucket, [...this.#tags], span.traceparent))
      // Not awaited: it travels with COMMIT, which becomes a ROLLBACK when it fails.
      const appended = span.around((await this.transaction()).append(messages))
      span.count = messages.length
      appended.catch(() => {})
      this.#end!.resolve()
      await this.#finished!.catch(async (error: unknown) => { await appended; throw error })
      return true
    }
    if (!this.#opening) return false
    await this.#opening
    this.#end!.resolve()
    await this.#finished
    return true
  }

  async abandon(error: unknown): Promise<void> {
    if (!this.#opening) return
    await this.#opening.catch(() => {})
    this.#end?.reject(error)
    await this.#finished?.catch(() => {})
  }
}
