/**
 * Connections to one Postgres: for each role a few pipelined ones for single statements
 * and a pool for transactions, all opened when first needed. A connection that breaks is
 * forgotten, the next statement opens another, so a restart of the server heals by itself.
 */
import { createHash, createHmac } from 'node:crypto'
import pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import type { Result, Statement } from '../../ports/database.ts'
import { Lending } from './lending.ts'
import { observePools, stateOf } from './pool-metrics.ts'
import type { PoolState } from './pool-metrics.ts'
import { PrimaryClient, primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'
import { forgetName, sendAlone, sendTogether, wasTakenAlong } from './statement-batch.ts'
import type { Answer } from './statement-batch.ts'

export interface ConnectionOptions {
  /** Address with the owner's name and password. */
  readonly url: string
  readonly log: Logger
  /** Connections for single statements, and for transactions, of each service. */
  readonly readersMax?: number
  readonly writersMax?: number
  readonly metrics?: MetricRegistry | null
}

interface Login { readonly role: string; readonly password: string }

const ownersMax = 4
/** Taken along, then stale, then unnamed. */
const attemptsMax = 2
const idleMs = 30_000

/** Whole numbers of 64 bits become numbers when a number can hold them, texts otherwise. */
const parseInt8 = (text: string): number | string => {
  const value = Number(text)
  return Number.isSafeInteger(value) ? value : text
}
/** `2026-11-25 18:08:49.123+00`, as a server in UTC writes it, without the patterns of a general parser; microseconds are cut. */
const parseTimestamp = (text: string): unknown => {
  const isPlain = text.length >= 22 && text.length <= 29 && text.charCodeAt(4) === 45 && text.endsWith('+00')
  if (!isPlain) return pg.types.getTypeParser(timestamptz, 'text')(text)
  const digits = (from: number, to: number) => {
    let value = 0
    for (let at = from; at < to; at++) value = value * 10 + text.charCodeAt(at) - 48
    return value
  }
  const end = Math.min(text.length - 3, 23)
  const milliseconds = end > 20 ? digits(20, end) * 10 ** (23 - end) : 0
  return new Date(Date.UTC(digits(0, 4), digits(5, 7) - 1, digits(8, 10), digits(11, 13), digits(14, 16), digits(17, 19), milliseconds))
}

const int8 = 20
const timestamptz = 1184
const parsers: Readonly<Record<number, (text: string) => unknown>> = { [int8]: parseInt8, [timestamptz]: parseTimestamp }
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text') => format !== ('binary' as string) && parsers[oid] || pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

export function assertText({ text }: Statement): void {
  // A NUL would end the text early on the wire and desynchronise the protocol.
  if (text.includes('\0')) throw fault('INVALID_INPUT', 'an SQL text contains the character U+0000')
}

/** What to say of a statement that failed; a name that has become stale is not used again on its connection. */
export function failureOf(client: pg.ClientBase, statement: Statement, error: unknown): unknown {
  // Made where the answer was read, it would not tell who had asked.
  if (error instanceof pg.DatabaseError) Error.captureStackTrace(error)
  if (statement.prepare === false || !isStaleStatement(error)) return refusalOf(error)
  forgetName(client, statement.text)
  return fault('UNAVAILABLE', 'the tables of a prepared statement have changed', { cause: error })
}

/** True when a named statement is no longer usable on its connection: its tables have changed, or an earlier parse failed. */
const isStaleStatement = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && (error.code === '26000' || (error.code === '0A000' && error.message.includes('cached plan')))

const databaseOf = (url: string): string => decodeURIComponent(new URL(url).pathname.slice(1)) || 'postgres'

function configOf(options: ConnectionOptions, login: Login | null): pg.ClientConfig {
  const url = new URL(options.url)
  // The owner's name and password must not win over the service's.
  if (login) { url.username = encodeURIComponent(login.role); url.password = encodeURIComponent(login.password) }
  return {
    connectionString: url.href, application_name: login?.role ?? 'tenfold',
    connectionTimeoutMillis: limits.connectTimeoutMs, keepAlive: true, types, pipeline: login !== null,
  }
}

/** What the server allows; asked before the pools are made. */
export async function maxConnectionsOf(url: string): Promise<number> {
  const client = new PrimaryClient({ connectionString: url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold' })
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query<{ max: string }>(`SELECT current_setting('max_connections') AS max`)
    return Number(rows[0]!.max)
  } catch (error) {
    throw refusalOf(error)
  } finally {
    await client.end().catch(() => {})
  }
}

/** What another took along, or was stale, has not run: it is sent once more, alone. */
function sendAgain(client: pg.ClientBase, statement: Statement, error: unknown, attempts: number): Promise<Answer> {
  const failure = failureOf(client, statement, error)
  if (attempts === 0 || !(wasTakenAlong(error) || isStaleStatement(error))) return Promise.reject(failure as Error)
  return sendAlone(client, statement).catch((next: unknown) => sendAgain(client, statement, next, attempts - 1))
}

interface Reader {
  readonly client: pg.Client
  readonly ready: Promise<unknown>
  connected: boolean
  load: number
}

/** The few connections single statements of one login share. */
class Readers {
  readonly #options: ConnectionOptions
  readonly #login: Login
  readonly #readers = new Set<Reader>()

  constructor(options: ConnectionOptions, login: Login) {
    this.#options = options
    this.#login = login
  }

  async query<Row>(statement: Statement): Promise<Result<Row>> {
    const reader = this.#pick()
    reader.load++
    try {
      if (!reader.connected) await reader.ready
      assertText(statement)
      return await sendTogether(reader.client, statement)
    } catch (error) {
      return await sendAgain(reader.client, statement, error, attemptsMax)
    } finally {
      reader.load--
    }
  }

  /** An idle connection, else the one with the fewest statements under way; meanwhile another is opened for the next. */
  #pick(): Reader {
    let best: Reader | undefined
    for (const reader of this.#readers) {
      if (reader.connected && reader.load === 0) return reader
      if (!best || (reader.connected && !best.connected) || (reader.connected === best.connected && reader.load < best.load)) best = reader
    }
    const opening = best && [...this.#readers].some(reader => !reader.connected)
    if (this.#readers.size < (this.#options.readersMax ?? limits.readersMax) && !opening) {
      const fresh = this.#open()
      if (!best) return fresh
    }
    return best!
  }

  #open(): Reader {
    const client = new PrimaryClient(configOf(this.#options, this.#login))
    const ready = client.connect()
    const reader: Reader = { client, ready, connected: false, load: 0 }
    client.on('error', error => { this.#forget(reader); this.#options.log.debug({ err: error }, 'a connection to Postgres broke') })
    client.on('end', () => this.#forget(reader))
    ready.then(() => { reader.connected = true }, () => this.#forget(reader))
    this.#readers.add(reader)
    return reader
  }

  #forget(reader: Reader): void { this.#readers.delete(reader) }

  /** What is under way fails as if the server had gone. */
  cut(): void { for (const { client } of this.#readers) client.connection.stream.destroy() }

  /** What is sent behind another statement on the same connection waits. */
  stateOf(service: string): PoolState {
    const all = [...this.#readers]
    const used = all.filter(reader => reader.load > 0).length
    const waiting = all.reduce((sum, { load }) => sum + Math.max(0, load - 1), 0)
    return { service, pool: 'read', used, idle: all.length - used, max: this.#options.readersMax ?? limits.readersMax, waiting }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#readers].map(async reader => {
      await reader.ready.catch(() => {})
      await reader.client.end().catch(() => {})
    }))
  }
}

/**
 * At most services × (readersMax + writersMax) + 4 for the owner; those of a service open
 * when they are needed and idle writers close again. With the standard limits and the five
 * services of Conduit 59. The whole of a process adds what the other drivers open:
 *
 *   bus        4 + 1 that listens + 1 per consumer
 *   queue      6 + 1 per worker
 *   leases     2 + 1 per lease held
 *   broadcast  1
 *
 * All processes together must stay below the server's max_connections: server-settings.ts
 * divides them.
 */
export class Connections {
  /** For migrations, positions and housekeeping; never for an application's statements. */
  readonly owner: pg.Pool
  readonly database: string
  readonly #options: ConnectionOptions
  readonly #readers = new Map<string, Readers>()
  readonly #writers = new Map<string, Lending>()

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.database = databaseOf(options.url)
    this.owner = this.#pool(null, ownersMax)
    observePools(options.metrics, () => [
      ...[...this.#readers].map(([service, readers]) => readers.stateOf(service)),
      ...[...this.#writers.values()].map(lending => lending.state),
      stateOf('tenfold', 'owner', this.owner),
    ])
  }

  /** Roles belong to the whole server: outside its main database they carry a mark of theirs, so that two deployments do not share one. */
  roleOf(service: string): string {
    const mark = this.database === 'postgres' ? '' : `_${createHash('sha256').update(this.database).digest('hex').slice(0, 8)}`
    return `tenfold_${service}${mark}`
  }

  /** Derived from the owner's password: every process finds it without storing it. */
  passwordOf(service: string): string {
    const secret = decodeURIComponent(new URL(this.#options.url).password)
    return createHmac('sha256', secret).update(`tenfold role ${this.roleOf(service)}`).digest('hex')
  }

  /** One statement as the service, outside a transaction. */
  read<Row>(service: string, statement: Statement): Promise<Result<Row>> {
    let readers = this.#readers.get(service)
    if (!readers) this.#readers.set(service, readers = new Readers(this.#options, this.#loginOf(service)))
    return readers.query<Row>(statement)
  }

  /** Breaks what reads: for a server that has fallen silent, of which a connection would say nothing for minutes. */
  cutReaders(): void { for (const readers of this.#readers.values()) readers.cut() }

  /** Connections for the service's transactions; what is sent without waiting is pipelined. */
  writers(service: string): Lending {
    let lending = this.#writers.get(service)
    if (!lending) this.#writers.set(service, lending = new Lending(service, this.#pool(this.#loginOf(service), this.#options.writersMax ?? limits.writersMax)))
    return lending
  }

  async close(): Promise<void> {
    await Promise.all([...[...this.#readers.values()].map(one => one.close()), ...[...this.#writers.values()].map(lending => lending.close()), this.owner.end()])
  }

  #loginOf(service: string): Login {
    return { role: this.roleOf(service), password: this.passwordOf(service) }
  }

  #pool(login: Login | null, max: number): pg.Pool {
    const pool = primaryPool({ ...configOf(this.#options, login), max, idleTimeoutMillis: idleMs })
    // Without a listener the 57P01 of an idle connection would end the process.
    pool.on('error', error => this.#options.log.debug({ err: error }, 'an idle connection to Postgres broke'))
    pool.on('connect', client => { client.on('error', () => {}) })
    return pool
  }
}
