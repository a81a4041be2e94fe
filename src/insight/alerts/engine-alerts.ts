/** Alerts on the database, and on what waits: events, jobs, dead letters. */
import type { Alert, Look } from './alert.ts'
import { anyOf } from './series.ts'

const mebibyte = 1_048_576
const relays = ['tenfold.jobs', 'tenfold.broker']

const postgres: readonly Alert[] = [
  {
    name: 'TenfoldEngineDown', severity: 'page', for: '2m',
    expr: series => `${series('tenfold_engine_up', { engine: 'postgres' })} == 0`,
    summary: 'The engine {{ $labels.engine }} does not answer.',
    means: 'The database did not tell its measurements within 2 s, for two minutes: it is down, unreachable, or out of connections. Commands fail meanwhile; kept answers are still given. Where there are replicas one is promoted within seconds if no acknowledged write can be missing there: then this does not fire.',
    look: [{ tells: 'what is wrong', command: 'tenfold doctor' }, { tells: 'how long it took when it still answered', query: series => series('tenfold_engine_read_seconds') }, { tells: 'what room its disk has', query: series => series('tenfold_disk_available_bytes') }, { tells: 'what the keeper of the servers and the processes say', command: 'tenfold logs --level warn --since 15m' }],
    mend: ['The disk is full: make room, never in `pg_wal`; it goes on by itself.', 'It was not promoted away from: the log says why not. A primary that waits for no replica (`synchronous: 0`) is started again where everything is, instead.', 'It is another machine: its log, and the way to it.'],
  },
  {
    name: 'TenfoldPostgresConnectionsNearMax', severity: 'ticket', for: '5m',
    expr: series => `sum by (job) (${series('tenfold_postgres_connections')}) / sum by (job) (${series('tenfold_postgres_connections_max')}) > 0.85`,
    summary: '{{ $value | humanizePercentage }} of the connections of Postgres are taken.',
    means: 'When all are taken new processes cannot start, and a restart fails.',
    look: [{ tells: 'what they do', query: series => series('tenfold_postgres_connections') }, { tells: 'which pools have them', query: series => `sum by (process, pool) (${series('db_client_connections')})` }],
    mend: ['Many are "idle in transaction": see TenfoldPostgresLongTransaction.', 'Others than Tenfold are connected: they go through a pooler, or away.', 'Fewer processes or smaller pools in the topology; or a higher `max_connections`, which costs memory.'],
  },
  {
    name: 'TenfoldPostgresCommitsUnconfirmed', severity: 'page', for: '1m',
    expr: series => `${series('tenfold_postgres_replicas_confirming')} < ${series('tenfold_postgres_replicas_awaited')}`,
    summary: 'Commits wait for a replica that is not there.',
    means: 'A commit is acknowledged when a replica has it on disk, and fewer follow than are needed for that: every command waits until its deadline. Queries are answered.',
    look: [
      { tells: 'which replicas follow, and how far behind', query: series => series('tenfold_postgres_replication_lag_bytes') },
      { tells: 'what the keeper of the servers says', command: 'tenfold logs --level warn --since 15m' },
      { tells: 'what is wrong', command: 'tenfold doctor' },
    ],
    mend: ['The embedded replicas are made anew by themselves: their disk is full, or their log, beside their data, tells why not.', 'It is for good, and a second copy can wait: fewer `synchronous` in the topology, and a start.'],
  },
  {
    name: 'TenfoldPostgresReplicationLag', severity: 'ticket', for: '10m',
    expr: series => `${series('tenfold_postgres_replication_lag_bytes')} > ${256 * mebibyte}`,
    summary: 'The replica {{ $labels.replica }} is {{ $value | humanize1024 }}B of log behind.',
    means: 'A replica does not keep up: it would lose so much if it had to take over, and the log that it needs fills the disk of the primary.',
    look: [{ tells: 'how much is written', query: series => `rate(${series('tenfold_postgres_wal_bytes_total')}[5m])` }, { tells: 'whether it still falls behind', query: series => `deriv(${series('tenfold_postgres_replication_lag_bytes')}[15m])` }],
    mend: ['It falls behind under a bulk of writes: slow those down.', 'It stands still: a long query on the replica holds replay, or its disk is full.', 'It is gone for good: drop its replication slot.'],
  },
  {
    name: 'TenfoldPostgresLongTransaction', severity: 'ticket', for: '1m',
    expr: series => `${series('tenfold_postgres_oldest_transaction_seconds')} > 300`,
    summary: 'A transaction has been open for {{ $value | humanizeDuration }}.',
    means: 'Events that were committed after it began wait for its end, and vacuum cannot clean up. Tenfold ends its own after 10 s: this one is somebody else\'s.',
    look: [
      { tells: 'what waits behind it', query: series => series('tenfold_bus_waiting') },
      { tells: 'whose it is, in psql', command: "SELECT pid, usename, application_name, state, xact_start, query FROM pg_stat_activity WHERE xact_start < now() - interval '5 min'" },
    ],
    mend: ['End it: `SELECT pg_terminate_backend(pid)`.', 'Backups and reports belong on a replica.'],
  },
  {
    name: 'TenfoldPostgresLocksAwaited', severity: 'ticket', for: '5m',
    expr: series => `min_over_time(${series('tenfold_postgres_locks_waiting')}[5m]) > 5`,
    summary: 'More than five locks are waited for, all the time ({{ $value }}).',
    means: 'Transactions stand in line for the same rows, or for a change of the schema.',
    look: [{ tells: 'which commands take long', query: series => `histogram_quantile(0.99, sum by (intent, le) (rate(${series('tenfold_intent_duration_seconds_bucket', { kind: 'command' })}[5m])))` }, { tells: 'who waits for whom, in psql', command: 'SELECT pid, pg_blocking_pids(pid), wait_event, query FROM pg_stat_activity WHERE cardinality(pg_blocking_pids(pid)) > 0' }],
    mend: ['One hot row: write to several and add them up, or do it in a job.', 'A migration waits: end what it waits for, or it.'],
  },
  {
    name: 'TenfoldPostgresCheckpointsForced', severity: 'ticket',
    expr: series => `increase(${series('tenfold_postgres_checkpoints_total', { cause: 'requested' })}[1h]) > 6`,
    summary: 'Postgres was forced to checkpoint {{ $value | humanize }} times in an hour.',
    means: 'Write-ahead log is made faster than `max_wal_size` allows for: checkpoints come early, write more, and slow commits down.',
    look: [{ tells: 'log per second', query: series => `rate(${series('tenfold_postgres_wal_bytes_total')}[15m])` }, { tells: 'which commands write', query: series => `topk(5, sum by (intent) (rate(${series('tenfold_intent_requests_total', { kind: 'command', outcome: 'ok' })}[15m])))` }],
    mend: ['A higher `max_wal_size`, if the disk has room for it twice.', 'A bulk of writes: slower.'],
  },
  {
    name: 'TenfoldPostgresGrowth', severity: 'ticket', for: '1h',
    expr: series => `predict_linear(${series('tenfold_postgres_size_bytes')}[1d], 7 * 86400) > 2 * ${series('tenfold_postgres_size_bytes')}\nand\n${series('tenfold_postgres_size_bytes')} > ${1_024 * mebibyte}`,
    summary: 'The database will be twice as large in a week ({{ $value | humanize1024 }}B).',
    means: 'The database grows unusually fast. How much room its disk has Tenfold sees where it is embedded (TenfoldDiskNearlyFull); elsewhere watch that with the exporter of the machine (`node_filesystem_avail_bytes`).',
    look: [{ tells: 'since when', query: series => `deriv(${series('tenfold_postgres_size_bytes')}[6h])` }, { tells: 'log per second', query: series => `rate(${series('tenfold_postgres_wal_bytes_total')}[15m])` }, { tells: 'tables, dead rows, indexes nobody uses', command: 'tenfold advise' }],
    mend: ['It is wanted: a larger disk in time.', 'Dead rows: vacuum does not keep up, or a long transaction holds it.'],
  },
]

const deadLook: readonly Look[] = [
  { tells: 'which handler gave up', query: series => `sum by (intent) (increase(${series('tenfold_intent_dead_total')}[1d])) > 0` },
  { tells: 'why', command: 'tenfold logs --level error --since 1d' },
]

const backlog: readonly Alert[] = [
  {
    name: 'TenfoldDeadLetters', severity: 'ticket', for: '1m',
    expr: series => `${series('tenfold_bus_dead_letters')} > 0`,
    summary: '{{ $value }} events of {{ $labels.consumer }} were given up.',
    means: 'A subscription or projection failed at an event until its last attempt. The event is kept and can be replayed; a read model lacks it until then.',
    look: deadLook,
    mend: ['Mend the handler, `tenfold restart`, then replay them: the console, page Jobs and events.'],
  },
  {
    name: 'TenfoldDeadJobs', severity: 'ticket', for: '1m',
    expr: series => `${series('tenfold_queue_jobs', { state: 'dead' })} > 0`,
    summary: '{{ $value }} jobs were given up.',
    means: 'A job failed until its last attempt. It is kept and can be tried again.',
    look: deadLook,
    mend: ['Mend the job or what it calls, then retry it: the console, page Jobs and events.'],
  },
  {
    name: 'TenfoldJobsOld', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_queue_oldest_seconds')} > 300`,
    summary: 'The oldest waiting job could have run {{ $value | humanizeDuration }} ago.',
    means: 'Jobs come faster than they are done, or nobody does them.',
    look: [
      { tells: 'how many wait and run', query: series => series('tenfold_queue_jobs') },
      { tells: 'seconds per attempt', query: series => `sum by (intent) (rate(${series('tenfold_intent_duration_seconds_sum', { kind: 'job' })}[5m])) / sum by (intent) (rate(${series('tenfold_intent_duration_seconds_count', { kind: 'job' })}[5m]))` },
      { tells: 'whether a worker is there', query: series => series('tenfold_process_ready') },
    ],
    mend: ['The worker is missing: TenfoldProcessNotReady.', 'What jobs call is slow or down: they come back by themselves when it does.', 'Too many: one more process that does `background` in the topology.'],
  },
  {
    name: 'TenfoldRelayLag', severity: 'page', for: '5m',
    expr: series => `${series('tenfold_bus_oldest_seconds', { consumer: anyOf(relays) })} > 60`,
    summary: '{{ $labels.consumer }} has left what it carries waiting in the outbox for {{ $value | humanizeDuration }}.',
    means: 'The relay from the outbox stands still: of `tenfold.jobs` no job that was enqueued since begins; of `tenfold.broker` no event is delivered either. Nothing is lost.',
    look: [{ tells: 'how many wait', query: series => series('tenfold_bus_waiting', { consumer: anyOf(relays) }) }, { tells: 'whether a transaction holds the horizon', query: series => series('tenfold_postgres_oldest_transaction_seconds') }, { tells: 'what the worker says', command: 'tenfold logs --process worker --level warn --since 30m' }],
    mend: ['A long transaction: TenfoldPostgresLongTransaction.', 'No process does `background`: TenfoldProcessNotReady; it does and tells nothing: TenfoldProcessSilent.', 'The broker is away: TenfoldBrokerDown; or has no room: its stream stands at its limit, see TenfoldBrokerFull.'],
  },
  {
    name: 'TenfoldConsumerLag', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_bus_oldest_seconds', { consumer: { notOneOf: relays } })} > 60`,
    summary: '{{ $labels.consumer }} is {{ $value | humanizeDuration }} behind.',
    means: 'A subscription or projection does not keep up: its read model is old. Of `tenfold.invalidation`: an answer that a process missed to forget may be given longer.',
    look: [
      { tells: 'how many wait, and how many are parked behind a failure', query: series => `${series('tenfold_bus_waiting')} or ${series('tenfold_bus_parked')}` },
      { tells: 'deliveries per second', query: series => `sum by (intent) (rate(${series('tenfold_intent_messages_total')}[5m]))` },
      { tells: 'whether it fails', query: series => `sum by (intent, code) (rate(${series('tenfold_intent_errors_total', { kind: anyOf(['subscription', 'projection']) })}[5m])) > 0` },
    ],
    mend: ['It fails: mend the handler; parked events go on by themselves.', 'Its worker is frozen and holds the lead: TenfoldProcessSilent.', 'It is slow: `tenfold advise`, and a projection takes its events in one statement.', 'A long transaction holds it: TenfoldPostgresLongTransaction.'],
  },
]

export const engineAlerts: readonly Alert[] = [...postgres, ...backlog]
