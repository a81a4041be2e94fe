/** A transaction whose statements, wait for a connection and COMMIT are spans. */
import { monotonicMs } from '../base/time.ts'
import type { Advance, Claim, Database, Message, Position, Reader, Remembered, Result, Statement, Transaction, TransactionScope } from '../ports/database.ts'
import type { Span } from './span.ts'

/** One statement as a span of the intent that runs it; of a reader among several servers it tells which has answered. */
export async function tracedStatement<Row>(parent: Span, intent: string, { text }: Statement, work: Promise<Result<Row>>, reader?: Reader): Promise<Result<Row>> {
  if (!parent.trace.isRecording) return work
  const span = parent.begin('statement', intent)
  span.text = text
  try {
    const result = await work
    span.count = result.rows.length
    if (reader && reader.shows !== null) span.server = reader.server
    return result
  } catch (error) {
    span.error = error
    throw error
  } finally {
    span.endMs = monotonicMs()
  }
}

/** `database.transaction`, for what runs under this span. */
export async function tracedTransaction<T>(database: Database, scope: TransactionScope, parent: Span, work: (transaction: Transaction) => Promise<T>): Promise<T> {
  if (!parent.trace.isRecording) return database.transaction(scope, work)
  const span = parent.begin('transaction', scope.service)
  let commit: Span | undefined
  try {
    return await database.transaction(scope, async transaction => {
      span.count = monotonicMs() - span.startMs
      const value = await work(new TracedTransaction(transaction, span, parent.about))
      commit = span.begin('commit', scope.service)
      return value
    })
  } catch (error) {
    span.fail(error)
    commit?.fail(error)
    throw error
  } finally {
    span.end()
    if (commit) commit.endMs = span.endMs
  }
}

class TracedTransaction implements Transaction {
  readonly bucket: number | null
  readonly #inner: Transaction
  readonly #span: Span
  readonly #intent: string

  constructor(inner: Transaction, span: Span, intent: string) {
    this.#inner = inner
    this.#span = span
    this.#intent = intent
    this.bucket = inner.bucket
  }

  enter(bucket: number): void { this.#inner.enter(bucket) }
  committed(): Promise<Position | null> { return this.#inner.committed() }
  query<Row>(statement: Statement): Promise<Result<Row>> { return tracedStatement(this.#span, this.#intent, statement, this.#inner.query<Row>(statement)) }
  /** Its time belongs to what it travels with. */
  send(statement: Statement): void {
    const span = this.#span.begin('statement', this.#intent)
    span.text = statement.text
    span.end()
    this.#inner.send(statement)
  }
  claim(claim: Claim): Promise<void> { return this.#span.begin('claim', claim.scope).around(this.#inner.claim(claim)) }
  unclaim(claim: Claim): Promise<void> { return this.#span.begin('claim', claim.scope).around(this.#inner.unclaim(claim)) }
  recall(scope: string, key: string): Promise<Remembered | null> { return this.#span.begin('memory', 'recall').around(this.#inner.recall(scope, key)) }
  remember(scope: string, key: string, remembered: Remembered): Promise<void> { return this.#span.begin('memory', 'remember').around(this.#inner.remember(scope, key, remembered)) }
  firstSeen(consumer: string, messages: readonly Pick<Message, 'id' | 'bucket'>[]): Promise<Set<string>> { return this.#span.begin('inbox', consumer).around(this.#inner.firstSeen(consumer, messages)) }
  advance(advance: Advance): Promise<void> { return this.#span.begin('inbox', advance.consumer).around(this.#inner.advance(advance)) }
  /** A span of its own is the caller's: the messages carry its id. */
  append(messages: readonly Message[]): Promise<void> { return this.#inner.append(messages) }
}
