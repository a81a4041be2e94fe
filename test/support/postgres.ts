/**
 * A database of its own for each test: one embedded server per test process, started when
 * first asked for and stopped after the last test, and a fresh database per call.
 */
import { rm } from 'node:fs/promises'
import { after } from 'node:test'
import pg from 'pg'
import { silentLogger } from '../../src/base/log.ts'
import { randomHex } from '../../src/base/random.ts'
import { sleep } from '../../src/base/time.ts'
import { startPostgresServer } from '../../src/drivers/postgres/server.ts'
import type { PostgresServer } from '../../src/drivers/postgres/server.ts'
import { newDataFolder } from './new-data.ts'

export interface ScratchPostgres {
  readonly url: string
  /** Restarts the whole server, fast shutdown; resolves when it answers again. */
  restart(): Promise<void>
  /** Runs statements as the owner. */
  sql<Row>(text: string, values?: readonly unknown[]): Promise<Row[]>
  close(): Promise<void>
}

interface Started { readonly server: PostgresServer; readonly folder: string }
let starting: Promise<Started> | undefined

async function start(): Promise<Started> {
  const folder = await newDataFolder()
  // Nothing here outlives a loss of power; dropping a database would otherwise flush all that there is.
  return { folder, server: await startPostgresServer({ dataFolder: folder, log: silentLogger, settings: { fsync: 'off' } }) }
}

after(async () => {
  if (!starting) return
  const { server, folder } = await starting
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

async function run<Row>(url: string, text: string, values: readonly unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(text, values as unknown[])).rows as Row[]
  } finally {
    await client.end().catch(() => {})
  }
}

export async function scratchPostgres(): Promise<ScratchPostgres> {
  const { server } = await (starting ??= start())
  const name = `scratch_${randomHex(6)}`
  await run(server.url, `CREATE DATABASE ${name}`)
  const url = new URL(server.url)
  url.pathname = `/${name}`
  return {
    url: url.href,
    sql: (text, values) => run(url.href, text, values),
    restart: () => restart(server),
    async close() { await run(server.url, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) },
  }
}

/** The server's watcher starts it again; it is back when another start time answers. */
async function restart(server: PostgresServer): Promise<void> {
  const startedAt = () => run<{ at: string }>(server.url, 'SELECT pg_postmaster_start_time()::text AS at').then(rows => rows[0]!.at, () => null)
  const before = await startedAt()
  while (server.pid === null) await sleep(20)
  process.kill(server.pid, 'SIGINT')
  for (;;) {
    const at = await startedAt()
    if (at !== null && at !== before) return
    await sleep(20)
  }
}
