/**
 * Migrations: the runtime's own schema, then each service's schema, role and grants. One
 * digest of everything decides in a single statement that nothing is to do.
 */
import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Migration, MigrationReport, ServiceSchema, TableShape } from '../../ports/database.ts'
import type { Connections } from './connection.ts'
import { refusalOf } from './refusal.ts'
import { tablesOf } from './table-shape.ts'

const lockKey = 7_310_461_825
const runtime = 'tenfold'

export async function migrate(connections: Connections, schemas: readonly ServiceSchema[]): Promise<MigrationReport> {
  const all: ServiceSchema[] = [{ service: runtime, migrations: await runtimeMigrations(), reference: [] }, ...schemas]
  const digest = digestOf(connections, all)
  if (await isCurrent(connections, digest, schemas)) {
    const tables = await Promise.all(schemas.map(async schema => [schema.service, await tablesOf(connections.owner, schema)] as const))
    return { applied: [], tables: Object.fromEntries(tables) }
  }
  const client = await connections.owner.connect().catch((error: unknown) => { throw refusalOf(error) })
  try {
    await client.query('SELECT pg_advisory_lock($1)', [lockKey])
    return await migrateLocked(client, connections, all, digest)
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [lockKey]).catch(() => {})
    client.release()
  }
}

async function runtimeMigrations(): Promise<Migration[]> {
  const folder = new URL('./sql/', import.meta.url)
  const files = (await readdir(folder)).filter(name => name.endsWith('.sql')).sort()
  return Promise.all(files.map(async (name, index) => {
    const sql = await readFile(new URL(name, folder), 'utf8')
    return { number: index + 1, name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
  }))
}

function digestOf(connections: Connections, schemas: readonly ServiceSchema[]): string {
  // To be raised when what a role is set to changes, so that known databases get it, too.
  const hash = createHash('sha256').update('roles 3')
  for (const { service, migrations, reference } of schemas) {
    hash.update(JSON.stringify([service, reference, connections.roleOf(service), connections.passwordOf(service), migrations.map(one => one.checksum)]))
  }
  return hash.digest('hex')
}

async function isCurrent(connections: Connections, digest: string, schemas: readonly ServiceSchema[]): Promise<boolean> {
  try {
    const { rows } = await connections.owner.query<{ meta: Record<string, string>; roles: number }>(
      'SELECT (SELECT jsonb_object_agg(name, value) FROM tenfold.meta) AS meta, (SELECT count(*)::int FROM pg_roles WHERE rolname = ANY ($1)) AS roles',
      [schemas.map(schema => connections.roleOf(schema.service))])
    const { meta, roles } = rows[0]!
    refuseOtherBuckets(meta)
    // Roles belong to the server: a database restored elsewhere comes without them.
    return meta.schema_digest === digest && roles === schemas.length
  } catch (error) {
    if ((error as { code?: string }).code === '42P01') return false
    throw refusalOf(error)
  }
}

async function migrateLocked(client: pg.PoolClient, connections: Connections, schemas: readonly ServiceSchema[], digest: string): Promise<MigrationReport> {
  const applied: { service: string; name: string }[] = []
  const tables: Record<string, TableShape[]> = {}
  await client.query(`
    CREATE SCHEMA IF NOT EXISTS tenfold;
    CREATE TABLE IF NOT EXISTS tenfold.migration (
      service text NOT NULL, number int NOT NULL, name text NOT NULL, checksum text NOT NULL,
      applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (service, number))`)
  for (const schema of schemas) {
    if (schema.service !== runtime) await client.query(`CREATE SCHEMA IF NOT EXISTS ${quote(schema.service)}`)
    for (const name of await applyNew(client, schema)) applied.push({ service: schema.service, name })
    if (schema.service === runtime) await checkMeta(client)
    else tables[schema.service] = await prepareService(client, connections, schema)
  }
  const faulty = Object.values(tables).flat().some(table => table.faults.length > 0)
  // A schema with faults is not remembered as good: the next start finds them again.
  if (!faulty) await client.query(`INSERT INTO tenfold.meta VALUES ('schema_digest', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, [digest])
  return { applied, tables }
}

async function applyNew(client: pg.PoolClient, { service, migrations }: ServiceSchema): Promise<string[]> {
  const { rows } = await client.query<{ number: number; name: string; checksum: string }>('SELECT number, name, checksum FROM tenfold.migration WHERE service = $1 ORDER BY number', [service])
  const applied: string[] = []
  for (const done of rows) {
    const known = migrations.find(one => one.number === done.number)
    if (!known) throw fault('MIGRATION_FAULT', `service '${service}': ${done.name} has run on this database and is missing here; bring the file back`)
    if (known.checksum !== done.checksum) throw fault('MIGRATION_FAULT', `service '${service}': ${known.name} has changed since it ran on this database; undo the edit and add a new migration`)
  }
  for (const migration of migrations.slice(rows.length)) {
    await applyOne(client, service, migration)
    applied.push(migration.name)
  }
  return applied
}

async function applyOne(client: pg.PoolClient, service: string, migration: Migration): Promise<void> {
  try {
    await client.query('BEGIN')
    await client.query(`SET LOCAL search_path = ${quote(service)}`)
    await client.query(migration.sql)
    await client.query('INSERT INTO tenfold.migration (service, number, name, checksum) VALUES ($1, $2, $3, $4)', [service, migration.number, migration.name, migration.checksum])
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {})
    throw fault('MIGRATION_FAULT', `service '${service}': ${migration.name} failed and nothing of it was kept: ${(error as Error).message}`, { cause: error })
  }
}

async function checkMeta(client: pg.PoolClient): Promise<void> {
  const { rows } = await client.query<{ name: string; value: string }>(`SELECT name, value FROM tenfold.meta WHERE name IN ('buckets', 'bucket_hash')`)
  refuseOtherBuckets(Object.fromEntries(rows.map(row => [row.name, row.value])))
}

function refuseOtherBuckets(meta: Readonly<Record<string, string>>): void {
  if (meta.buckets !== '4096' || meta.bucket_hash !== 'fnv1a32-murmur3fmix-top12') {
    throw fault('MIGRATION_FAULT', `this database was made with ${meta.buckets} buckets of ${meta.bucket_hash}, and this version uses 4096 of fnv1a32-murmur3fmix-top12; its rows would not be found`)
  }
}

const hasTransactionTimeout = async (client: pg.PoolClient): Promise<boolean> =>
  (await client.query(`SELECT 1 FROM pg_settings WHERE name = 'transaction_timeout'`)).rowCount === 1

/** Role, grants and the one-key triggers of a service; returns the shapes of its tables. */
async function prepareService(client: pg.PoolClient, connections: Connections, schema: ServiceSchema): Promise<TableShape[]> {
  const role = connections.roleOf(schema.service)
  const tables = await tablesOf(client, schema)
  const { rowCount } = await client.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [role])
  const statements = [
    `${rowCount ? 'ALTER' : 'CREATE'} ROLE ${quote(role)} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD '${connections.passwordOf(schema.service)}'`,
    `ALTER ROLE ${quote(role)} SET search_path = ${quote(schema.service)}`,
    `ALTER ROLE ${quote(role)} SET statement_timeout = ${limits.statementTimeoutMs}`,
    // From 17 on. An older one does not end a transaction of many short statements: doctor says that it is wrong.
    ...await hasTransactionTimeout(client) ? [`ALTER ROLE ${quote(role)} SET transaction_timeout = ${limits.transactionTimeoutMs}`] : [],
    `ALTER ROLE ${quote(role)} SET idle_in_transaction_session_timeout = ${limits.transactionTimeoutMs}`,
    `ALTER ROLE ${quote(role)} SET lock_timeout = ${limits.lockTimeoutMs}`,
    // Statements are prepared and run often: planning each run anew costs more than the run, and a plan that stays is known.
    `ALTER ROLE ${quote(role)} SET plan_cache_mode = force_generic_plan`,
    `ALTER ROLE ${quote(role)} SET timezone = 'UTC'`,
    `GRANT CONNECT ON DATABASE ${quote(connections.database)} TO ${quote(role)}`,
    `GRANT USAGE ON SCHEMA ${quote(schema.service)}, tenfold TO ${quote(role)}`,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${quote(schema.service)} TO ${quote(role)}`,
    `GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${quote(schema.service)} TO ${quote(role)}`,
    // Not tx, seq and lsn: the order of the log is the database's own.
    `REVOKE INSERT ON tenfold.outbox FROM ${quote(role)}`,
    `GRANT INSERT (bucket, id, kind, name, key, payload, at, traceparent, run_at) ON tenfold.outbox TO ${quote(role)}`,
    `GRANT SELECT, INSERT ON tenfold.inbox, tenfold.idempotency TO ${quote(role)}`,
    `GRANT SELECT, INSERT, DELETE ON tenfold.claim TO ${quote(role)}`,
    // Its own consumers' cursors, which move in the transactions of the effects.
    `GRANT SELECT (consumer, epoch), UPDATE (tx, seq, updated_at) ON tenfold.cursor TO ${quote(role)}`,
    ...tables.filter(table => table.keyed).flatMap(table => triggersFor(`${quote(schema.service)}.${quote(table.table)}`)),
  ]
  await client.query(statements.join(';\n'))
  await addPolicies(client, role, schema.service)
  return tables
}

/**
 * Of the runtime's tables a role sees and writes the rows of its service only (I6). A
 * policy per role, since a constant costs no look-up and goes into the index condition.
 * Made only where it is missing: making one takes a lock that running calls would wait for.
 */
async function addPolicies(client: pg.PoolClient, role: string, service: string): Promise<void> {
  const { rows } = await client.query<{ tablename: string }>(`SELECT tablename FROM pg_policies WHERE schemaname = 'tenfold' AND policyname = $1`, [role])
  const name = `'${service.replaceAll("'", "''")}'`
  const own = `USING (service = ${name})`
  const policies = [
    ['claim', 'ALL', own], ['inbox', 'ALL', own], ['idempotency', 'ALL', own],
    // An event is its own service's fact; a job of another service is asked for by its intent.
    ['cursor', 'ALL', `USING (starts_with(consumer, ${name} || '.'))`],
    ['outbox', 'INSERT', `WITH CHECK (kind = 'job' OR starts_with(name, ${name} || '.'))`],
  ] as const
  for (const [table, command, condition] of policies) {
    if (rows.some(row => row.tablename === table)) continue
    await client.query(`CREATE POLICY ${quote(role)} ON tenfold.${table} FOR ${command} TO ${quote(role)} ${condition}`)
  }
}

function triggersFor(table: string): string[] {
  const other = (row: string) => `${row}.bucket <> nullif(current_setting('tenfold.bucket', true), '')::smallint`
  return [
    `CREATE OR REPLACE TRIGGER tenfold_one_key_write BEFORE INSERT OR UPDATE ON ${table} FOR EACH ROW WHEN (${other('NEW')}) EXECUTE FUNCTION tenfold.refuse_other_bucket()`,
    `CREATE OR REPLACE TRIGGER tenfold_one_key_delete BEFORE UPDATE OR DELETE ON ${table} FOR EACH ROW WHEN (${other('OLD')}) EXECUTE FUNCTION tenfold.refuse_other_bucket()`,
  ]
}

export const quote = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`
