/** The inspection port on Postgres: pg_stat_statements, the catalogs, EXPLAIN (GENERIC_PLAN) and, where it is installed, hypopg. */
import pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { IndexFacts, IndexShape, Inspection, Observation, Proof, Scan, StatementFacts, TableFacts } from '../../ports/inspection.ts'
import { indexFactsText, observationText, statementFactsText, tableFactsText } from './inspection-texts.ts'
import { createIndexText, prove } from './index-proof.ts'
import { quote } from './migration.ts'
import { nodesOf, scansOf } from './plan-scan.ts'
import type { Catalog, PlanNode } from './plan-scan.ts'
import { primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

export interface PostgresInspectionOptions {
  /** With the owner's name and password. */
  readonly url: string
  readonly services: readonly string[]
}

export const openPostgresInspection = (options: PostgresInspectionOptions): Inspection => new PostgresInspection(options)

const explainMs = 5_000
const mark = /\s*\/\*intent='([^']*)'\*\/\s*$/

class PostgresInspection implements Inspection {
  readonly #options: PostgresInspectionOptions
  readonly #pool: pg.Pool
  #closing: Promise<void> | undefined

  constructor(options: PostgresInspectionOptions) {
    this.#options = options
    this.#pool = primaryPool({ connectionString: options.url, max: 2, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold inspection' })
    this.#pool.on('error', () => {})
  }

  async open(): Promise<void> {
    await this.#pool.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements').catch((error: unknown) => { throw refusalOf(error) })
    await this.#pool.query('SELECT 1 FROM pg_stat_statements LIMIT 1').catch((error: unknown) => {
      throw fault('ENGINE_MISSING', 'Postgres does not count statements: add pg_stat_statements to shared_preload_libraries and start it again', { cause: error })
    })
  }

  close(): Promise<void> { return this.#closing ??= this.#pool.end() }

  async observation(): Promise<Observation> {
    const [row] = await this.#query<Observation>(observationText)
    return row!
  }

  async statements(): Promise<readonly StatementFacts[]> {
    const rows = await this.#query<Omit<StatementFacts, 'intent' | 'pagesPerCall' | 'rowsPerCall'> & { pages: number; rows: number }>(statementFactsText, [this.#options.services])
    // Texts that differ in nothing but their mark, or were planned anew, are one statement.
    const byText = Map.groupBy(rows, row => `${row.service} ${row.text.replace(mark, '')}`)
    return [...byText.values()].map(same => {
      const { service, text } = same.reduce((first, row) => row.calls > first.calls ? row : first)
      const sum = (of: (row: typeof same[number]) => number) => same.reduce((total, row) => total + of(row), 0)
      const calls = sum(row => row.calls)
      const intent = mark.exec(text)?.[1]
      return {
        service, calls, intent: intent === undefined ? null : decodeURIComponent(intent), text: text.replace(mark, '').trim(), totalMs: sum(row => row.totalMs),
        maxMs: Math.max(...same.map(row => row.maxMs)), rowsPerCall: sum(row => row.rows) / calls, pagesPerCall: sum(row => row.pages) / calls,
      }
    })
  }

  tables(): Promise<readonly TableFacts[]> { return this.#query(tableFactsText, [this.#options.services]) }

  indexes(): Promise<readonly IndexFacts[]> { return this.#query(indexFactsText, [this.#options.services]) }

  async scans(service: string, text: string): Promise<readonly Scan[] | null> {
    const plan = await this.#explained(service, text)
    return plan && scansOf(plan, await this.#known())
  }

  explain(service: string, text: string): Promise<string | null> {
    return this.#inside(service, client => explainedAs(client, 'GENERIC_PLAN', text, rows => rows.map(row => row['QUERY PLAN'] as string).join('\n')))
  }

  async #known(): Promise<Catalog> {
    const [tables, indexes] = await Promise.all([this.tables(), this.indexes()])
    return {
      rowsOf: (schema, table) => tables.find(one => one.service === schema && one.table === table)?.rows ?? 0,
      leadingOf: (schema, name) => indexes.find(one => one.service === schema && one.name === name)?.columns[0]?.column,
    }
  }

  async wouldUse(service: string, text: string, index: IndexShape): Promise<boolean | null> {
    const [there] = await this.#query('SELECT 1 FROM pg_available_extensions WHERE name = $1', ['hypopg'])
    if (!there) return null
    return this.#inside(service, async client => {
      await client.query('CREATE EXTENSION IF NOT EXISTS hypopg')
      const { rows } = await client.query<{ name: string }>('SELECT indexname AS name FROM hypopg_create_index($1)', [createIndexText(null, index, '')])
      try {
        const plan = await explain(client, text)
        return plan && nodesOf(plan).some(node => node['Index Name'] === rows[0]!.name)
      } finally { await client.query('SELECT hypopg_reset()') }
    })
  }

  prove(service: string, texts: readonly string[], index: IndexShape, keepAs: string | null): Promise<Proof | null> {
    return this.#inside(service, client => prove(client, texts, index, keepAs))
  }

  #explained(service: string, text: string): Promise<PlanNode | null> {
    return this.#inside(service, client => explain(client, text))
  }

  /** On one connection that finds the service's tables by their bare names. */
  async #inside<T>(service: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error: unknown) => { throw refusalOf(error) })
    try {
      await client.query(`SET search_path = ${quote(service)}, public`)
      return await work(client)
    } finally {
      // Not used again: its settings and prepared statements go with it.
      client.release(true)
    }
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    if (this.#closing) throw fault('UNAVAILABLE', 'the inspection is closed')
    return (await this.#pool.query<Row>(text, values).catch((error: unknown) => { throw refusalOf(error) })).rows
  }
}

interface ExplainRow { readonly 'QUERY PLAN': unknown }

const explain = (client: pg.PoolClient, text: string): Promise<PlanNode | null> =>
  explainedAs(client, 'GENERIC_PLAN, VERBOSE, FORMAT JSON', text, rows => (rows[0]!['QUERY PLAN'] as [{ Plan: PlanNode }])[0].Plan)

/** The plan for any values, in a transaction that cannot write; null for a text that lost too much when it was normalised. */
async function explainedAs<T>(client: pg.PoolClient, options: string, text: string, read: (rows: ExplainRow[]) => T): Promise<T | null> {
  await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${explainMs}`)
  try {
    return read((await client.query<ExplainRow>(`EXPLAIN (${options}) ${text}`)).rows)
  } catch (error) {
    if (error instanceof pg.DatabaseError) return null
    throw error
  } finally { await client.query('ROLLBACK') }
}
