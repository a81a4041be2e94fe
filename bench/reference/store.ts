/**
 * The reference server's connections. Reads go through two pipelined connections, which
 * saves waiting for a turn; writes through a pool, so that commits share a flush of the log.
 */
import pg from 'pg'
import type { Statement } from './statements.ts'

export interface Store {
  /** The text of the column `json` of the first row; undefined without a row. */
  readJson(statement: Statement, values: readonly unknown[]): Promise<string | undefined>
  writeJson(statement: Statement, values: readonly unknown[]): Promise<string | undefined>
  row<Row extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]): Promise<Row | undefined>
  close(): Promise<void>
}

/** A generic plan is the right one for every statement here; planning anew would cost more than running. Pages are in memory. */
const options = '-c random_page_cost=1 -c plan_cache_mode=force_generic_plan -c jit=off -c timezone=UTC'

export async function openStore(url: string, readers = 2, writers = 12): Promise<Store> {
  const reading = Array.from({ length: readers }, () => new pg.Client({ connectionString: url, pipeline: true, options }))
  for (const client of reading) {
    client.on('error', error => { process.stderr.write(`${error.message}\n`) })
    await client.connect()
  }
  const writing = new pg.Pool({ connectionString: url, max: writers, options })
  writing.on('error', error => { process.stderr.write(`${error.message}\n`) })
  let turn = 0
  const json = (result: pg.QueryResult<{ json: string }>) => result.rows[0]?.json
  const query = (statement: Statement, values: readonly unknown[]) => ({ name: statement.name, text: statement.text, values: values as unknown[] })
  const reader = () => reading[turn = (turn + 1) % reading.length]!
  return {
    readJson: async (statement, values) => json(await reader().query<{ json: string }>(query(statement, values))),
    writeJson: async (statement, values) => json(await writing.query<{ json: string }>(query(statement, values))),
    row: async <Row extends pg.QueryResultRow>(statement: Statement, values: readonly unknown[]) => (await reader().query<Row>(query(statement, values))).rows[0],
    async close() { await Promise.all([...reading.map(client => client.end()), writing.end()]) },
  }
}
