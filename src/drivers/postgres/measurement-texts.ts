/** The statements of the measurements: what Postgres counts, and how far bus and queue are. */
import { ofRuntime } from './attribution.ts'

const measure = (text: string) => ofRuntime('measurements', text)

export const databaseText = measure(`
  SELECT d.xact_commit::float8 AS commits, d.xact_rollback::float8 AS rollbacks, d.deadlocks::float8 AS deadlocks,
    d.blks_hit::float8 AS hit, d.blks_read::float8 AS read, d.temp_bytes::float8 AS temporary, pg_database_size(d.datid)::float8 AS size,
    (SELECT wal_bytes::float8 FROM pg_stat_wal) AS wal, current_setting('max_connections')::float8 AS max,
    (SELECT count(*)::float8 FROM pg_locks WHERE NOT granted) AS locks,
    (SELECT coalesce(max(extract(epoch FROM clock_timestamp() - xact_start)), 0)::float8 FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS oldest
  FROM pg_stat_database d WHERE d.datname = current_database()`)

export const checkpointsText = measure('SELECT num_timed::float8 AS timed, num_requested::float8 AS requested FROM pg_stat_checkpointer')

export const connectionsText = measure(`
  SELECT state, count(*)::float8 AS count FROM pg_stat_activity WHERE backend_type = 'client backend' AND state IS NOT NULL GROUP BY state`)

/** The time is told while a replica has something to replay, and a little longer. */
export const replicasText = measure(`
  SELECT application_name AS replica, max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn))::float8 AS lag,
    max(coalesce(extract(epoch FROM replay_lag), 0))::float8 AS seconds, bool_or(sync_state IN ('sync', 'quorum')) AS confirms
  FROM pg_stat_replication WHERE replay_lsn IS NOT NULL GROUP BY application_name`)

/** How many replicas a commit waits for: of 'ANY 1 (a, b)' and 'FIRST 1 (a, b)' one, and of 'a, b' too. */
export const awaitedText = measure(`
  SELECT CASE WHEN names = '' THEN 0 ELSE coalesce(substring(upper(names) FROM '^(?:ANY|FIRST)? *([0-9]+)'), '1')::float8 END AS awaited
  FROM current_setting('synchronous_standby_names') AS names`)

/** Which primary it is, and what its clock shows. */
export const primaryText = measure(`
  SELECT extract(epoch FROM clock_timestamp())::float8 AS clock, ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int AS timeline`)

/** Like ConsumerStore.depth, of all consumers. */
export const consumersText = measure(`
  SELECT at.consumer, ahead.waiting, ahead.oldest, behind.parked, behind.dead FROM tenfold.cursor at
  CROSS JOIN LATERAL (
    SELECT count(*)::float8 AS waiting, greatest(coalesce(extract(epoch FROM now() - min(o.at)), 0), 0)::float8 AS oldest
    FROM tenfold.outbox o WHERE (o.tx, o.seq) > (at.tx, at.seq)
      AND CASE WHEN at.names IS NULL THEN o.kind = 'job' ELSE o.kind = 'event' AND (o.name = ANY (at.names) OR at.names = '{*}') END) AS ahead
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE dead_at IS NULL)::float8 AS parked, count(*) FILTER (WHERE dead_at IS NOT NULL)::float8 AS dead
    FROM tenfold.parked p WHERE p.consumer = at.consumer) AS behind
  ORDER BY at.consumer`)

/** Like Queue.depth. */
export const queueText = measure(`
  SELECT count(*) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at <= now())::float8 AS waiting,
    count(*) FILTER (WHERE worker IS NOT NULL AND dead_at IS NULL)::float8 AS running,
    count(*) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at > now())::float8 AS scheduled,
    count(*) FILTER (WHERE dead_at IS NOT NULL)::float8 AS dead,
    greatest(coalesce(extract(epoch FROM now() - min(run_at) FILTER (WHERE worker IS NULL AND dead_at IS NULL AND run_at <= now())), 0), 0)::float8 AS oldest
  FROM tenfold.job`)

/** A service is known by the search_path of its role, as in inspection-texts.ts. Who blocks is asked for those who wait only. */
export const activityText = measure(`
  WITH seen AS MATERIALIZED (
    SELECT a.pid, a.usesysid, a.application_name AS program, a.state, a.wait_event_type AS kind, a.wait_event AS event,
      substring(a.query FROM 'intent=''([^'']*)''') AS intent,
      CASE WHEN a.wait_event_type = 'Lock' AND a.state = 'active' THEN pg_blocking_pids(a.pid) ELSE '{}' END AS blockers
    FROM pg_stat_activity a
    WHERE a.backend_type IN ('client backend', 'parallel worker') AND a.datname = current_database() AND a.state <> 'idle' AND a.pid <> pg_backend_pid()
  )
  SELECT program, state, kind, event, intent,
    (SELECT trim(both '"' FROM split_part(setting, '=', 2)) FROM pg_roles r, unnest(r.rolconfig) AS setting
     WHERE r.oid = seen.usesysid AND r.rolname LIKE 'tenfold\\_%' AND setting LIKE 'search_path=%') AS service,
    cardinality(blockers) = 0 AND pid IN (SELECT unnest(blockers) FROM seen) AS holds
  FROM seen`)
