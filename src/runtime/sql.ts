/**
 * Two ways to SQL over one session: plain text as a tagged template, and Kysely. Both
 * arrive at the driver as a text and its values, and the driver prepares the text once.
 */
import { Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, KyselyPlugin, QueryResult } from 'kysely'
import { fault } from '../base/errors.ts'
import type { Sql } from '../model/context.ts'
import type { Result, Statement } from '../ports/database.ts'
import { bucketPlugin } from './bucket-plugin.ts'

export type RunStatement = <Row>(statement: Statement) => Promise<Result<Row>>

const texts = new WeakMap<TemplateStringsArray, string>()

function textOf(strings: TemplateStringsArray): string {
  let text = texts.get(strings)
  if (text === undefined) {
    text = strings.reduce((sum, part, index) => index === 0 ? part : `${sum}$${index}${part}`, '')
    texts.set(strings, text)
  }
  return text
}

export function sqlOver(run: RunStatement): Sql {
  return async <Row>(strings: TemplateStringsArray, ...values: readonly unknown[]) => {
    const { rows } = await run<Row>({ text: textOf(strings), values })
    return rows
  }
}

const adapter = new PostgresAdapter()
const compiler = new PostgresQueryCompiler()
const noTransaction = async () => { throw fault('NOT_SUPPORTED', 'a command is one transaction already; use its context.db') }

/** Kysely over one session; keyed tables are limited to `bucket` unless it is null. */
export function kyselyOver(run: RunStatement, bucket: number | null, reference: readonly string[]): Kysely<unknown> {
  const connection: DatabaseConnection = {
    async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
      const { rows, affected } = await run<Row>({ text: query.sql, values: query.parameters })
      return { rows, numAffectedRows: BigInt(affected) }
    },
    async *streamQuery() { throw fault('NOT_SUPPORTED', 'streaming a query; page through it instead') },
  }
  const dialect: Dialect = {
    createAdapter: () => adapter,
    createQueryCompiler: () => compiler,
    createIntrospector: database => new PostgresIntrospector(database),
    createDriver: () => ({
      init: async () => {}, destroy: async () => {},
      acquireConnection: async () => connection, releaseConnection: async () => {},
      beginTransaction: noTransaction, commitTransaction: noTransaction, rollbackTransaction: noTransaction,
    }),
  }
  const plugins: KyselyPlugin[] = bucket === null ? [] : [bucketPlugin(bucket, reference)]
  return new Kysely<unknown>({ dialect, plugins })
}
