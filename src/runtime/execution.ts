/**
 * Builds the contexts that handlers get. Everything costly is made on first use, since
 * most calls use one statement and nothing else.
 */
import type { Kysely } from 'kysely'
import type { Deadline } from '../base/deadline.ts'
import { fault } from '../base/errors.ts'
import { JsonText, jsonOf, valueOf } from '../base/json-text.ts'
import { newId } from '../base/id.ts'
import type { Logger } from '../base/log.ts'
import { now } from '../base/time.ts'
import type { CommandContext, HandlerContext, ProjectionContext, QueryContext, Sql, Write } from '../model/context.ts'
import type { Declared, Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import { primaryServer } from '../ports/database.ts'
import type { Database, Transaction } from '../ports/database.ts'
import type { Caller, CallMetadata, Transport } from '../ports/transport.ts'
import type { GhostCache } from './ghost-cache.ts'
import type { Invalidation } from './invalidation.ts'
import type { Reading } from './session.ts'
import { kyselyOver, sqlOver, writeOver } from './sql.ts'
import type { RunStatement } from './sql.ts'
import type { Span } from './span.ts'
import type { RunStatistics, Statistics } from './statistics.ts'
import { tracedStatement } from './traced-transaction.ts'
import type { Tracer } from './tracer.ts'
import type { Work } from './unit-of-work.ts'

export interface Surroundings {
  readonly database: Database
  readonly transport: Transport
  /** Null where nothing is cached. */
  readonly invalidation: Invalidation | null
  readonly log: Logger
  readonly statistics: Statistics
  readonly tracer: Tracer
  /** Hears what becomes untrue where nothing is kept. */
  readonly ghost?: GhostCache
}

/** One run of one intent. */
export interface Execution {
  readonly intent: Declared
  readonly metadata: CallMetadata
  /** Null where the intent's auth is none, even when the call has a caller: that one travels on to nested calls. */
  readonly user: Caller | null
  readonly deadline: Deadline
  readonly bucket: number | null
  /** Where a query reads; everything else reads where it writes. */
  readonly reading?: Reading
  /** Where several deliveries commit together: whether one of them called another intent. */
  readonly together?: { called: boolean }
  /** What happens in this run is written down under it. */
  readonly span: Span
}

/** What every context shares. Getters keep the unused parts free. */
class BaseContext {
  readonly user: unknown
  readonly bucket: number | null
  readonly requestId: string
  readonly sql: Sql
  readonly claimed: (scope: string, value: string) => Promise<string | null>
  readonly #run: RunStatement
  readonly #execution: Execution
  readonly #surroundings: Surroundings
  protected readonly statistics: RunStatistics
  readonly #startedAtMs = now()
  #db: Kysely<unknown> | undefined
  #log: Logger | undefined
  #calls = 0

  constructor(surroundings: Surroundings, execution: Execution, run: RunStatement) {
    this.#surroundings = surroundings
    this.#execution = execution
    this.#run = run
    this.user = execution.user
    this.bucket = execution.bucket
    this.requestId = execution.metadata.requestId
    this.statistics = surroundings.statistics.begin(execution.intent)
    this.sql = sqlOver(run, this.statistics)
    this.claimed = (scope, value) => execution.span.begin('claim', scope).around(execution.reading?.reader.claimed(scope, value) ?? surroundings.database.claimed(execution.intent.service.name, scope, value))
  }

  get db(): Kysely<unknown> {
    return this.#db ??= kyselyOver(this.#run, this.statistics, this.#execution.bucket, this.#execution.intent.service.options.reference ?? [])
  }

  get now(): Date { return new Date(this.#startedAtMs) }

  get log(): Logger {
    const { metadata, intent, span } = this.#execution
    return this.#log ??= this.#surroundings.log.child({ intent: intent.name, requestId: metadata.requestId, traceId: span.trace.traceId, spanId: span.id })
  }

  get signal(): AbortSignal { return this.#execution.deadline.signal }

  bucketOf(key: Key): number { return routed(key).bucket }

  async call(target: Declared, input: unknown): Promise<unknown> { return valueOf(await this.#ask(target, input)) }

  async callText(target: Declared, input: unknown): Promise<JsonText> {
    const output = await this.#ask(target, input)
    return output instanceof JsonText ? output : new JsonText(jsonOf(output) ?? 'null')
  }

  async #ask(target: Declared, input: unknown): Promise<unknown> {
    const { metadata, deadline, together, reading } = this.#execution
    const { transport, tracer } = this.#surroundings
    if (together) {
      together.called = true
      throw new Error('a delivery that calls others has a transaction of its own')
    }
    if (!target.name) throw new Error('the called intent is not exported by a service of this application')
    this.statistics.call(target.name)
    if (reading) reading.called = true
    const isCommand = target.kind === 'command'
    const idempotencyKey = isCommand ? `${metadata.idempotencyKey ?? metadata.requestId}/${this.#calls++}` : undefined
    const span = this.#execution.span.begin('call', target.name)
    const answered = tracer.calls(span)
    const answer = await span.around(transport.call({
      intent: target.name, input, repeatable: true,
      metadata: { ...metadata, idempotencyKey, depth: metadata.depth + 1, timeoutMs: deadline.remainingMs(), traceparent: span.traceparent, readsAt: reading?.reader.server ?? primaryServer },
    })).finally(answered)
    return answer.output
  }
}

export function queryContext(surroundings: Surroundings, execution: Execution): QueryContext {
  const service = execution.intent.service.name
  const { span, deadline, intent, reading } = execution
  const run: RunStatement = statement => {
    deadline.check()
    return tracedStatement(span, intent.name, statement, reading ? reading.reader.query(statement) : surroundings.database.query(service, statement), reading?.reader)
  }
  return new BaseContext(surroundings, execution, run) as unknown as QueryContext
}

class WritingContext extends BaseContext {
  readonly write: Write
  readonly read: Sql
  readonly #work: Work
  readonly #ghost: GhostCache | undefined

  constructor(surroundings: Surroundings, execution: Execution, work: Work) {
    super(surroundings, execution, statement => work.run(statement))
    this.read = sqlOver(statement => {
      execution.deadline.check()
      return tracedStatement(execution.span, execution.intent.name, statement, surroundings.database.query(execution.intent.service.name, statement))
    }, this.statistics)
    this.write = writeOver(statement => work.write(statement), this.statistics)
    this.#ghost = surroundings.ghost
    this.#work = work
  }

  emit(event: never, payload: unknown, options?: { key?: Key }): void { this.#work.emit(event, payload, options?.key) }
  enqueue(job: never, input: unknown, options?: { afterMs?: number }): void { this.#work.enqueue(job, input, options?.afterMs) }
  invalidate(...tags: readonly string[]): void {
    this.#work.invalidate(tags)
    this.#ghost?.invalidate(tags)
  }

  newId(): string { return newId(this.bucket!) }
  async claim(scope: string, value: string, owner: string): Promise<void> { await (await this.#work.transaction()).claim({ scope, value, owner }) }
  async unclaim(scope: string, value: string, owner: string): Promise<void> { await (await this.#work.transaction()).unclaim({ scope, value, owner }) }
}

export function writingContext(surroundings: Surroundings, execution: Execution, work: Work): CommandContext & HandlerContext {
  return new WritingContext(surroundings, execution, work) as unknown as CommandContext & HandlerContext
}

/** A projection writes rows of many keys of one shard: no bucket is given, each row names its own. */
export function projectionContext(surroundings: Surroundings, intent: Declared, transaction: Transaction, span: Span): ProjectionContext {
  const run: RunStatement = statement => transaction.query(statement)
  const statistics = surroundings.statistics.begin(intent)
  let db: Kysely<unknown> | undefined
  return {
    get db() { return db ??= kyselyOver(run, statistics, null, []) },
    sql: sqlOver(run, statistics),
    log: surroundings.log.child({ intent: intent.name, traceId: span.trace.traceId }),
    bucketOf: key => routed(key).bucket,
    now: new Date(now()),
  }
}

export function assertDepth(metadata: CallMetadata, depthMax: number): void {
  if (metadata.depth > depthMax) throw fault('DEADLINE_EXCEEDED', `${metadata.depth} nested calls: the services call each other in a circle`)
}
