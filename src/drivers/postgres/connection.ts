/**
 * Connections to one Postgres: for each service a role of its own (I6), a pool for
 * transactions, and a few pipelined connections for reads, the idle one first. Statements
 * are prepared under a name made of their text, up to a bounded number of texts.
 */
import { createHash, createHmac } from 'node:crypto'
import pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { Result, Statement } from '../../ports/database.ts'
import { refusalOf } from './refusal.ts'

export interface ConnectionOptions {
  readonly url: string
  readonly log: Logger
}

const readersMax = 4
const writersMax = 10
const idleMs = 30_000
const int8 = 20

// Counts come as numbers where they fit; what does not stays a text rather than lose digits.
const types = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid !== int8 || format === 'binary') return pg.types.getTypeParser(oid, format as 'text')
    return (text: string) => Number.isSafeInteger(Number(text)) ? Number(text) : text
  },
} as pg.CustomTypesConfig

const names = new Map<string, string>()

/** The name a text is prepared under, or undefined when there are too many texts already. */
function nameOf(text: string): string | undefined {
  let name = names.get(text)
  if (!name && names.size < limits.statementsNamedMax) {
    name = `s_${createHash('sha256').update(text).digest('base64url').slice(0, 16)}`
    names.set(text, name)
  }
  return name
}

export async function runOn<Row>(client: pg.ClientBase, statement: Statement): Promise<Result<Row>> {
  const name = statement.prepare === false ? undefined : nameOf(statement.text)
  const { rows, rowCount } = await client.query({ name, text: statement.text, values: statement.values as unknown[] })
  return { rows: rows as Row[], affected: rowCount ?? 0 }
}

interface Reader {
  readonly connecting: Promise<pg.Client>
  inFlight: number
}

export class Connections {
  readonly #options: ConnectionOptions
  readonly #pools = new Map<string, pg.Pool>()
  readonly #readers = new Map<string, Reader[]>()
  /** The role that the url names: owns the runtime's tables. */
  readonly owner: pg.Pool
  readonly database: string

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.database = new URL(options.url).pathname.slice(1) || 'postgres'
    this.owner = this.#pool({ connectionString: options.url, max: 4 })
  }

  /** The login role of a service, at most 63 characters. */
  roleOf(service: string): string { return `tenfold_${this.database}_${service}`.slice(0, 63) }

  /** Derived from the owner's password, so that nothing more has to be kept. */
  passwordOf(service: string): string {
    return createHmac('sha256', new URL(this.#options.url).password || 'tenfold').update(this.roleOf(service)).digest('base64url')
  }

  writers(service: string): pg.Pool {
    let pool = this.#pools.get(service)
    if (!pool) {
      pool = this.#pool({ ...this.#roleConfig(service), max: writersMax })
      this.#pools.set(service, pool)
    }
    return pool
  }

  /** One statement outside a transaction, on the least busy reading connection. */
  async read<Row>(service: string, statement: Statement): Promise<Result<Row>> {
    const reader = this.#reader(service)
    reader.inFlight++
    try {
      return await runOn<Row>(await reader.connecting, statement)
    } catch (error) {
      throw refusalOf(error)
    } finally {
      reader.inFlight--
    }
  }

  async close(): Promise<void> {
    const readers = [...this.#readers.values()].flat()
    this.#readers.clear()
    await Promise.allSettled([...readers.map(async reader => (await reader.connecting).end()), ...[...this.#pools.values(), this.owner].map(pool => pool.end())])
  }

  #reader(service: string): Reader {
    let readers = this.#readers.get(service)
    if (!readers) this.#readers.set(service, readers = [])
    let best: Reader | undefined
    for (const reader of readers) if (!best || reader.inFlight < best.inFlight) best = reader
    if (best && (best.inFlight === 0 || readers.length >= readersMax)) return best
    const list = readers
    const drop = () => {
      const at = list.indexOf(opened)
      if (at >= 0) list.splice(at, 1)
    }
    const opened: Reader = { connecting: this.#connect(service, drop), inFlight: 0 }
    opened.connecting.catch(drop)
    readers.push(opened)
    return opened
  }

  async #connect(service: string, onEnd: () => void): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#roleConfig(service), pipeline: true } as pg.ClientConfig)
    client.on('error', onEnd)
    client.on('end', onEnd)
    await client.connect()
    return client
  }

  #roleConfig(service: string): pg.PoolConfig {
    const url = new URL(this.#options.url)
    url.username = encodeURIComponent(this.roleOf(service))
    url.password = encodeURIComponent(this.passwordOf(service))
    return { connectionString: url.href, types, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: `tenfold ${service}` }
  }

  #pool(config: pg.PoolConfig): pg.Pool {
    const pool = new pg.Pool({ types, connectionTimeoutMillis: limits.connectTimeoutMs, idleTimeoutMillis: idleMs, ...config, pipeline: true } as pg.PoolConfig)
    pool.on('error', error => this.#options.log.debug({ err: error }, 'an idle connection ended'))
    return pool
  }
}
