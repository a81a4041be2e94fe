/**
 * Statements that leave together on one connection, and end with one Sync: the server answers
 * them in one write, and is told once where a turn of the event loop made it many. Each is
 * prepared when it is first sent, and described only then: what its columns are stays known.
 *
 * One that fails takes those behind it along. In a transaction nothing goes on behind a failure
 * anyway. Others are one transaction to the server as long as they travel together, so that
 * nothing of any of them stays: those taken along are sent again, each alone.
 *
 * pg pipelines its own Query only, so this is one. It speaks through the messages of pg's
 * connection and gets its answers through the calls that pg makes on a query.
 */
import { createHash } from 'node:crypto'
import type { EventEmitter } from 'node:events'
import pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Result, Statement } from '../../ports/database.ts'
import { gatherWrites } from './gathered-writes.ts'
import { parameterOf } from './parameter.ts'

interface Wire {
  readonly stream: { cork(): void; uncork(): void }
  parse(message: { readonly name: string; readonly text: string }): void
  bind(message: { readonly statement: string; readonly values: readonly unknown[] }): void
  describe(message: { readonly type: 'P' }): void
  execute(): void
  sync(): void
}
interface Field { readonly name: string; readonly dataTypeID: number }
type Parser = (text: string) => unknown

/** A text on one connection. */
interface Prepared {
  /** Empty where it must go unnamed. */
  readonly name: string
  /** The server has it, or will when what was sent before has not failed. */
  isSent: boolean
  /** Null while they are not known; empty when there are none. */
  columns: readonly { readonly name: string; readonly parse: Parser }[] | null
}

interface Item {
  readonly text: string
  readonly values: readonly unknown[]
  readonly prepared: Prepared
  readonly rows: Record<string, unknown>[]
  command: string
  resolve(result: Answer): void
  reject(error: unknown): void
}

export interface Answer extends Result<never> { readonly command: string }

interface Memory {
  /** By text: bounded, since the server keeps every named statement. */
  readonly prepared: Map<string, Prepared>
  /** Sent, and not confirmed yet, oldest first. */
  readonly unconfirmed: Prepared[]
}

const memories = new WeakMap<pg.ClientBase, Memory>()
const gathering = new WeakMap<pg.ClientBase, StatementBatch>()
const travelling = new WeakMap<pg.ClientBase, StatementBatch>()
/** So many single statements travel together: the answer of the first waits for that of the last. */
const togetherMax = 8
/** What a statement that another has taken along is rejected with. */
const takenAlong = Symbol('taken along')

/** Sends it with what else this turn of the event loop says on this connection, in a transaction. */
export function gather(client: pg.ClientBase, statement: Statement): Promise<Answer> {
  let batch = gathering.get(client)
  if (!batch) {
    gathering.set(client, batch = new StatementBatch(client))
    setImmediate(() => flush(client))
  }
  return batch.add(statement)
}

/** Sends what has been gathered; what is sent next does not fail with it. */
export function flush(client: pg.ClientBase): void {
  const batch = gathering.get(client)
  if (!batch) return
  gathering.delete(client)
  client.query(batch as unknown as pg.Submittable)
}

/** Sends it with the other single statements of this turn; when one of them fails, the others are taken along and have not run. */
export function sendTogether(client: pg.ClientBase, statement: Statement): Promise<Answer> {
  let batch = travelling.get(client)
  if (!batch) {
    travelling.set(client, batch = new StatementBatch(client, true))
    setImmediate(() => depart(client, batch!))
  }
  const answer = batch.add(statement)
  if (batch.size === togetherMax) depart(client, batch)
  return answer
}

export const wasTakenAlong = (error: unknown): boolean => error === takenAlong

function depart(client: pg.ClientBase, batch: StatementBatch): void {
  if (travelling.get(client) !== batch) return
  travelling.delete(client)
  if (batch.size === 0) return
  gatherWrites(client)
  client.query(batch as unknown as pg.Submittable)
}

/** Sends it alone, so that it fails alone. */
export function sendAlone(client: pg.ClientBase, statement: Statement): Promise<Answer> {
  gatherWrites(client)
  const batch = new StatementBatch(client)
  const answer = batch.add(statement)
  client.query(batch as unknown as pg.Submittable)
  return answer
}

/** It has become unusable: its tables have changed. From now on the text goes unnamed on this connection. */
export function forgetName(client: pg.ClientBase, text: string): void {
  memoryOf(client).prepared.set(text, { name: '', isSent: false, columns: null })
}

function memoryOf(client: pg.ClientBase): Memory {
  let memory = memories.get(client)
  if (!memory) {
    const { unconfirmed } = memory = { prepared: new Map<string, Prepared>(), unconfirmed: [] }
    memories.set(client, memory)
    ;(client as unknown as { readonly connection: EventEmitter }).connection.on('parseComplete', () => { unconfirmed.shift() })
  }
  return memory
}

function preparedFor(client: pg.ClientBase, { text, prepare }: Statement): Prepared {
  const known = memoryOf(client).prepared
  let prepared = known.get(text)
  if (prepared) return prepared
  const isNamed = prepare !== false && known.size < limits.statementsNamedMax
  prepared = { name: isNamed ? `s_${createHash('sha256').update(text).digest('hex').slice(0, 20)}` : '', isSent: false, columns: null }
  if (isNamed) known.set(text, prepared)
  return prepared
}

/** Only for `instanceof`: all that pg asks of it is overridden. */
const Query = pg.Query as unknown as new (config: object) => object

class StatementBatch extends Query {
  readonly #client: pg.Client
  readonly #items: Item[] = []
  /** The one that is being answered. */
  #at = 0
  #isOver = false
  /** Why the rows of a statement could not be read, by its index. */
  readonly #misread = new Map<number, unknown>()
  /** One that fails alone is rejected with its error. */
  readonly #isApart: boolean

  constructor(client: pg.ClientBase, isApart = false) {
    super({})
    this.#client = client as pg.Client
    this.#isApart = isApart
  }

  get size(): number { return this.#items.length }

  /** Throws at once, and takes nobody along, when its values cannot be written. */
  add(statement: Statement): Promise<Answer> {
    const values = statement.values.map(parameterOf)
    return new Promise((resolve, reject) => {
      this.#items.push({ text: statement.text, values, prepared: preparedFor(this.#client, statement), rows: [], command: '', resolve, reject })
    })
  }

  submit(wire: Wire): null {
    const { unconfirmed } = memoryOf(this.#client)
    wire.stream.cork()
    for (const { text, values, prepared } of this.#items) {
      const { name } = prepared
      if (!prepared.isSent) {
        wire.parse({ name, text })
        unconfirmed.push(prepared)
        prepared.isSent = name !== ''
      }
      wire.bind({ statement: name, values })
      if (!prepared.columns || name === '') wire.describe({ type: 'P' })
      wire.execute()
    }
    wire.sync()
    wire.stream.uncork()
    return null
  }

  handleRowDescription({ fields }: { readonly fields: readonly Field[] }): void {
    this.#items[this.#at]!.prepared.columns = fields.map(({ name, dataTypeID }) => ({ name, parse: this.#client.getTypeParser(dataTypeID, 'text') as Parser }))
  }

  handleDataRow({ fields }: { readonly fields: readonly (string | null)[] }): void {
    const { prepared, rows } = this.#items[this.#at]!
    const row: Record<string, unknown> = {}
    try {
      for (let index = 0; index < fields.length; index++) {
        const { name, parse } = prepared.columns![index]!
        const text = fields[index]!
        row[name] = text === null ? null : parse(text)
      }
      rows.push(row)
    } catch (error) { if (!this.#misread.has(this.#at)) this.#misread.set(this.#at, error) }
  }

  handleCommandComplete({ text }: { readonly text: string }): void {
    const item = this.#items[this.#at++]!
    item.command = text
    item.prepared.columns ??= []
  }

  handleEmptyQuery(): void { this.#at++ }

  /** Pg forgets a query that failed: nothing follows. */
  handleError(error: unknown): void {
    if (this.#isOver) return
    this.#unsend()
    this.#settle(Math.min(this.#at, this.#items.length - 1), error)
  }

  handleReadyForQuery(): void {
    const [misread] = this.#misread
    if (misread && !this.#isApart) return this.#settle(0, misread[1])
    // All of them stay: to be sent again would be to run twice.
    for (const [index, error] of this.#misread) this.#items[index]!.reject(error)
    this.#settle(this.#items.length, undefined)
  }

  #settle(failedAt: number, error: unknown): void {
    this.#isOver = true
    const isWhole = failedAt === this.#items.length
    this.#items.forEach((item, index) => {
      if (this.#isApart && !isWhole) item.reject(index === failedAt ? error : takenAlong)
      else if (index < failedAt) item.resolve(answerOf(item))
      else item.reject(error)
    })
  }

  /** The server skips what stands behind a failure, so it does not have these. */
  #unsend(): void {
    const { unconfirmed } = memoryOf(this.#client)
    while (unconfirmed.length > 0 && this.#items.some(item => item.prepared === unconfirmed[0])) unconfirmed.shift()!.isSent = false
  }
}

/** The command's tag is like `INSERT 0 3`, `UPDATE 3`, `COMMIT`. */
function answerOf({ rows, command }: Item): Answer {
  const [word, ...numbers] = command.split(' ')
  return { rows: rows as never[], affected: word === 'SELECT' ? 0 : Number(numbers.at(-1) ?? 0), command: word! }
}
