/**
 * One transaction. BEGIN is sent together with the first statement; what commits with it
 * (claims, memory of answers, inbox, outbox) is written by one prepared statement each.
 */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { bucketOf } from '../../base/id.ts'
import { limits } from '../../base/limits.ts'
import { monotonicMs } from '../../base/time.ts'
import type { Advance, Claim, Message, Position, Remembered, Result, Statement, Transaction, TransactionScope } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'
import { assertText, failureOf } from './connection.ts'
import { positionText, toPosition } from './log-position.ts'
import type { PositionRow } from './log-position.ts'
import { isConnectionLoss } from './refusal.ts'
import { gather } from './statement-batch.ts'

export const claimBucket = (scope: string, value: string): number => bucketOf(`${scope}\u0000${value}`)

const setBucketText = ofRuntime('transaction', `SELECT set_config('tenfold.bucket', $1, true)`)
const claimText = ofRuntime('claim', `
  INSERT INTO tenfold.claim (bucket, service, scope, value, owner) VALUES ($1, $2, $3, $4, $5)
  ON CONFLICT (bucket, service, scope, value) DO NOTHING`)
const claimOwnerText = ofRuntime('claim', 'SELECT owner FROM tenfold.claim WHERE bucket = $1 AND service = $2 AND scope = $3 AND value = $4')
const unclaimText = ofRuntime('claim', 'DELETE FROM tenfold.claim WHERE bucket = $1 AND service = $2 AND scope = $3 AND value = $4 AND owner = $5')
const recallText = ofRuntime('idempotency', 'SELECT fingerprint, answer FROM tenfold.idempotency WHERE bucket = $1 AND service = $2 AND scope = $3 AND key = $4')
const rememberText = ofRuntime('idempotency', `
  INSERT INTO tenfold.idempotency (bucket, service, scope, key, fingerprint, answer) VALUES ($1, $2, $3, $4, $5, $6)`)
const uniqueViolation = '23505'
const firstSeenText = ofRuntime('inbox', `
  INSERT INTO tenfold.inbox (bucket, service, consumer, id)
  SELECT bucket, $2, $3, id FROM unnest($1::smallint[], $4::uuid[]) AS message (bucket, id)
  ON CONFLICT DO NOTHING RETURNING id`)
const advanceText = ofRuntime('bus', 'UPDATE tenfold.cursor SET tx = $3, seq = $4, updated_at = now() WHERE consumer = $1 AND epoch = $2')
const appendTo = 'INSERT INTO tenfold.outbox (bucket, id, kind, name, key, payload, at, traceparent, run_at)'
const appendManyText = ofRuntime('outbox', `
  ${appendTo}
  SELECT * FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::timestamptz[], $8::text[], $9::timestamptz[])`)

export const claimOwner = (service: string, scope: string, value: string): Statement => ({ text: claimOwnerText, values: [claimBucket(scope, value), service, scope, value] })

/** The database refuses rows of other buckets until the transaction ends. */
export const setBucket = (bucket: number): Statement => ({ text: setBucketText, values: [String(bucket)] })

/** So few, as commands have them, as rows: taken out of lists they would cost Postgres twice as much. */
export const appendFewMax = 4
const appendFewTexts = Array.from({ length: appendFewMax }, (_, index) => index + 1).map(count => ofRuntime('outbox', `
  ${appendTo} VALUES ${Array.from({ length: count }, (_, row) => `(${Array.from({ length: 9 }, (_, column) => `$${row * 9 + column + 1}`).join(', ')})`).join(', ')}`))

export function appendStatement(messages: readonly Message[]): Statement {
  const rows = messages.map(outboxRow)
  const few = appendFewTexts[rows.length - 1]
  if (few !== undefined) return { text: few, values: rows.length === 1 ? rows[0]! : rows.flat() }
  return { text: appendManyText, values: Array.from({ length: rows[0]!.length }, (_, column) => rows.map(row => row[column])) }
}

function outboxRow({ bucket, id, kind, name, key, payload, atMs, traceparent, runAtMs }: Message): unknown[] {
  const text = JSON.stringify(payload)
  const bytes = Buffer.byteLength(text ?? '')
  if (bytes > limits.payloadBytesMax) throw new Error(`the payload of ${name} has ${bytes} bytes; at most ${limits.payloadBytesMax}: put the rest in a table and send its id`)
  return [bucket, id, kind, name, key, text, instantOf(atMs), traceparent ?? null, runAtMs === undefined ? null : instantOf(runAtMs)]
}

/** As text: the driver would write a Date in the local zone, field by field. */
const instantOf = (atMs: number): string => new Date(atMs).toISOString()

/** Stands for the jobs where the names of messages are told: there is one consumer of all. */
export const jobsWord = '$jobs'

export class PostgresTransaction implements Transaction {
  /** Why a statement failed that nobody waited for. */
  failure: unknown
  /** Names of what was put into the outbox. */
  readonly appended = new Set<string>()
  readonly #client: pg.ClientBase
  readonly #scope: TransactionScope
  #bucket: number | null
  #ended = false
  #position: PromiseWithResolvers<Position | null> | undefined

  constructor(client: pg.ClientBase, scope: TransactionScope) {
    this.#client = client
    this.#scope = scope
    this.#bucket = scope.bucket
  }

  get bucket(): number | null { return this.#bucket }

  enter(bucket: number): void {
    if (this.#bucket === null) throw new Error('a projection spans buckets already')
    if (bucket === this.#bucket || this.#ended) return
    this.#bucket = bucket
    // Not awaited: it travels with the next statement. Its failure shows again at COMMIT.
    gather(this.#client, setBucket(bucket)).catch(() => {})
  }

  /** Nothing more belongs to it: its connection will be another's. */
  end(): void { this.#ended = true }

  committed(): Promise<Position | null> {
    this.#position ??= Promise.withResolvers<Position | null>()
    return this.#position.promise
  }

  /** To be sent right behind COMMIT. */
  async sendPosition(): Promise<void> {
    if (!this.#position) return
    const found: Result<PositionRow> | null = await gather(this.#client, { text: positionText, values: [] }).catch(() => null)
    this.#position.resolve(found && toPosition(found.rows[0]!))
  }

  #assertOpen(): void {
    if (this.#ended) throw new Error('a statement came after its transaction had ended: await everything that a handler begins')
    if (monotonicMs() >= this.#scope.deadlineMonotonicMs) throw fault('DEADLINE_EXCEEDED')
  }

  send(statement: Statement): void {
    this.#assertOpen()
    assertText(statement)
    gather(this.#client, statement).catch((error: unknown) => {
      const failure = failureOf(this.#client, statement, error)
      // What a lost connection means, COMMIT tells.
      if (!isConnectionLoss(error)) this.failure ??= failure
    })
  }

  async query<Row>(statement: Statement): Promise<Result<Row>> {
    this.#assertOpen()
    assertText(statement)
    try {
      return await gather(this.#client, statement)
    } catch (error) {
      throw failureOf(this.#client, statement, error)
    }
  }

  async claim({ scope, value, owner }: Claim): Promise<void> {
    const key = [claimBucket(scope, value), this.#scope.service, scope, value]
    const { affected } = await this.query({ text: claimText, values: [...key, owner] })
    if (affected > 0) return
    const { rows } = await this.query<{ owner: string }>({ text: claimOwnerText, values: key })
    if (rows[0]?.owner !== owner) throw fault('CONFLICT', `${scope} '${value}' has already been taken`, { fields: { [scope]: ['has already been taken'] } })
  }

  async unclaim({ scope, value, owner }: Claim): Promise<void> {
    await this.query({ text: unclaimText, values: [claimBucket(scope, value), this.#scope.service, scope, value, owner] })
  }

  async recall(scope: string, key: string): Promise<Remembered | null> {
    const { rows } = await this.query<Remembered>({ text: recallText, values: [this.bucket ?? 0, this.#scope.service, scope, key] })
    return rows[0] ?? null
  }

  async remember(scope: string, key: string, { fingerprint, answer }: Remembered): Promise<void> {
    try {
      await this.query({ text: rememberText, values: [this.bucket ?? 0, this.#scope.service, scope, key, fingerprint, JSON.stringify(answer)] })
    } catch (error) {
      throw (error as { code?: string }).code === uniqueViolation ? fault('IDEMPOTENCY_IN_FLIGHT', undefined, { cause: error }) : error
    }
  }

  async firstSeen(consumer: string, messages: readonly Pick<Message, 'id' | 'bucket'>[]): Promise<Set<string>> {
    const { rows } = await this.query<{ id: string }>({ text: firstSeenText, values: [messages.map(one => one.bucket), this.#scope.service, consumer, messages.map(one => one.id)] })
    return new Set(rows.map(row => row.id))
  }

  async advance({ consumer, epoch, tx, seq }: Advance): Promise<void> {
    const { affected } = await this.query({ text: advanceText, values: [consumer, epoch, tx, seq] })
    if (affected === 0) throw fault('CONFLICT', `another process delivers to ${consumer} by now`)
  }

  async append(messages: readonly Message[]): Promise<void> {
    if (messages.length === 0) return
    for (const { kind, name } of messages) this.appended.add(kind === 'job' ? jobsWord : name)
    await this.query(appendStatement(messages))
  }
}
