/**
 * Two ways to SQL over one session: plain text as a tagged template, and Kysely. Both
 * arrive at the driver as a text, marked with its intent, and its values; the driver
 * prepares the text once.
 */
import { Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely'
import type { CompiledQuery, DatabaseConnection, Dialect, KyselyPlugin, QueryResult } from 'kysely'
import { fault } from '../base/errors.ts'
import { monotonicMs } from '../base/time.ts'
import type { Sql, Write } from '../model/context.ts'
import type { Result, Statement } from '../ports/database.ts'
import { bucketPlugin } from './bucket-plugin.ts'
import type { RunStatistics } from './statistics.ts'

export type RunStatement = <Row>(statement: Statement) => Promise<Result<Row>>

export function sqlOver(run: RunStatement, statistics: RunStatistics): Sql {
  return async <Row>(strings: TemplateStringsArray, ...values: readonly unknown[]) => {
    const text = statistics.template(strings)
    const startedAtMs = monotonicMs()
    try { return (await run<Row>({ text, values })).rows } finally { statistics.took(startedAtMs) }
  }
}

export const writeOver = (write: (statement: Statement) => void, statistics: RunStatistics): Write =>
  (strings, ...values) => write({ text: statistics.template(strings), values })

const adapter = new PostgresAdapter()
const compiler = new PostgresQueryCompiler()
const noTransaction = async () => { throw fault('NOT_SUPPORTED', 'a command is one transaction already; use its context.db') }

/** Kysely over one session; keyed tables are limited to `bucket` unless it is null. */
export function kyselyOver(run: RunStatement, statistics: RunStatistics, bucket: number | null, reference: readonly string[]): Kysely<unknown> {
  const connection: DatabaseConnection = {
    async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
      const text = statistics.text(query.sql)
      const startedAtMs = monotonicMs()
      try {
        const { rows, affected } = await run<Row>({ text, values: query.parameters })
        return { rows, numAffectedRows: BigInt(affected) }
      } finally { statistics.took(startedAtMs) }
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
