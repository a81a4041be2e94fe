/** The statements of the inspection: what Postgres counts and what its catalogs say. $1 is the services' schemas. */
import { ofRuntime } from './attribution.ts'

const observe = (text: string) => ofRuntime('inspection', text)

/** Counts of tables begin anew after a crash, which only the start of the server tells. */
export const observationText = observe(`
  SELECT extract(epoch FROM now() - info.stats_reset)::float8 * 1000 AS "statementsMs", info.dealloc > 0 AS incomplete,
    extract(epoch FROM now() - greatest(d.stats_reset, pg_postmaster_start_time()))::float8 * 1000 AS "tablesMs"
  FROM pg_stat_statements_info info, pg_stat_database d WHERE d.datname = current_database()`)

/** A service's statements are those of its role, which is known by its search_path. */
export const statementFactsText = observe(`
  WITH role AS (
    SELECT r.oid, trim(both '"' FROM split_part(setting, '=', 2)) AS service FROM pg_roles r, unnest(r.rolconfig) AS setting
    WHERE setting LIKE 'search_path=%' AND r.rolname LIKE 'tenfold\\_%'
  )
  SELECT role.service, s.query AS text, s.calls::float8 AS calls, s.total_exec_time AS "totalMs", s.max_exec_time AS "maxMs", s.rows::float8 AS rows,
    (s.shared_blks_hit + s.shared_blks_read)::float8 AS pages
  FROM pg_stat_statements s JOIN role ON role.oid = s.userid
  WHERE s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND role.service = ANY ($1) AND s.calls > 0
    AND s.query ~* '^\\s*(SELECT|WITH|INSERT|UPDATE|DELETE|MERGE)\\y' AND s.query !~ 'intent=''tenfold\\.'`)

export const tableFactsText = observe(`
  SELECT s.schemaname AS service, s.relname AS table, greatest(c.reltuples, 0)::float8 AS rows, greatest(c.relpages, pg_relation_size(c.oid) / 8192)::float8 AS pages,
    pg_table_size(c.oid)::float8 AS bytes,
    s.n_dead_tup::float8 AS "deadRows", s.last_analyze IS NOT NULL OR s.last_autoanalyze IS NOT NULL OR c.reltuples >= 0 AS analyzed,
    current_setting('autovacuum_vacuum_threshold')::float8 + current_setting('autovacuum_vacuum_scale_factor')::float8 * greatest(c.reltuples, 0) AS "vacuumAtRows",
    age(c.relfrozenxid) / 2147483648.0::float8 AS "transactionAge"
  FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
  WHERE s.schemaname = ANY ($1) ORDER BY 1, 2`)

export const indexFactsText = observe(`
  SELECT n.nspname AS service, t.relname AS table, c.relname AS name, i.indisunique OR i.indisexclusion AS unique,
    am.amname = 'btree' AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AS plain,
    pg_relation_size(c.oid)::float8 AS bytes, coalesce(pg_stat_get_numscans(c.oid), 0)::float8 AS scans,
    (SELECT json_agg(json_build_object('column', coalesce(a.attname, ''), 'descending', (i.indoption[key.position - 1] & 1) = 1) ORDER BY key.position)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (attnum, position) LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = key.attnum
     WHERE key.position <= i.indnkeyatts) AS columns
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    JOIN pg_namespace n ON n.oid = t.relnamespace JOIN pg_am am ON am.oid = c.relam
  WHERE n.nspname = ANY ($1) ORDER BY 1, 2, 3`)
