/** Alerts on what several nodes need beside the processes: balancer, Redis, broker, replicas, scaling; and on disks and clocks. */
import type { Alert, Look } from './alert.ts'
import { anyOf } from './series.ts'

const supervisorSays: Look = { tells: 'what the supervisor says of it', command: 'tenfold logs --process supervisor --level warn --since 15m' }
const doctorSays: Look = { tells: 'what is wrong on its machine', command: 'tenfold doctor' }

const balancer: readonly Alert[] = [
  {
    name: 'TenfoldBalancerDown', severity: 'page', for: '1m',
    expr: series => `${series('tenfold_engine_up', { engine: 'haproxy' })} == 0`,
    summary: 'HAProxy does not answer.',
    means: 'HAProxy has not told its counts for a minute. When it dies the supervisor starts it anew within a second, and its socket stays open meanwhile, so that callers wait; after a minute it does not come up, or it hangs. No request is answered from outside.',
    look: [
      supervisorSays, doctorSays,
      { tells: 'whether the processes behind it are well', query: series => series('tenfold_process_ready') },
      { tells: 'whether requests still come through', query: series => `sum by (process) (rate(${series('http_server_request_duration_seconds_count')}[1m]))` },
    ],
    mend: ['It ends at its start: `haproxy -c -f haproxy.cfg`, in the folder `haproxy` of the data folder, says why. The supervisor writes that file before every change: mend what it cannot have (descriptors, memory, the program itself), not the file.', 'It hangs: end it (`kill -9`, its number stands in the file `pid` beside its configuration); the supervisor starts it with every node.', 'Its port is asked for by another program after a start: `tenfold start` says so.'],
  },
  {
    name: 'TenfoldBalancerNodesAway', severity: 'ticket', for: '2m',
    expr: series => `sum by (job, state) (${series('tenfold_balancer_nodes', { state: anyOf(['down', 'ejected']) })}) > 0`,
    summary: '{{ $value }} processes get no requests: {{ $labels.state }}.',
    means: 'A process runs and HAProxy gives it nothing. `down`: it does not answer its checks, for instance because it is frozen or its event loop is held. `ejected`: it failed far more often than the others, and is tried again after a while. The others do its work; callers notice nothing while there are enough of them.',
    look: [
      { tells: 'which process tells nothing', query: series => `${series('tenfold_process_ready')} == 1 unless on (process) ${series('process_start_time_seconds')}` },
      { tells: 'which one fails, and with what', query: series => `sum by (process, code) (rate(${series('tenfold_intent_errors_total')}[5m])) > 0` },
      { tells: 'whose event loop is held: p99 of its delay', query: series => `histogram_quantile(0.99, sum by (process, le) (rate(${series('nodejs_eventloop_delay_seconds_bucket')}[5m])))` },
      supervisorSays,
    ],
    mend: ['It is frozen: see TenfoldProcessSilent.', 'It fails alone: `tenfold restart` replaces all, one at a time, without a failed request; its errors are in the log.', 'All fail alike: then none is ejected, and it is not this alert that matters.'],
  },
  {
    name: 'TenfoldBalancerFull', severity: 'ticket', for: '5m',
    expr: series => `min_over_time(${series('tenfold_balancer_waiting')}[2m]) > 0`,
    summary: 'Requests have waited for a free process all the time ({{ $value }} at least).',
    means: 'Every process has as many requests as it takes. What waits longer than a second is refused with 503 and Retry-After.',
    look: [
      { tells: 'whether more processes are wanted than the topology allows', query: series => `${series('tenfold_scaling_wanted')} and on (name) ${series('tenfold_scaling_limited')} == 1` },
      { tells: 'requests that run, and how many may', query: series => `${series('tenfold_limiter_in_flight')} / ${series('tenfold_limiter_limit')}` },
      { tells: 'where their time goes', query: series => `topk(5, sum by (at) (rate(${series('tenfold_intent_residence_seconds_total')}[5m])))` },
      { tells: 'what binds', command: 'tenfold advise' },
    ],
    mend: ['The autoscaler is at its limit: TenfoldScalingLimited.', 'The time goes to statements or to waiting for connections: more processes would not help; `tenfold advise`.'],
  },
]

const shared: readonly Alert[] = [
  {
    name: 'TenfoldRedisDown', severity: 'ticket', for: '2m',
    expr: series => `${series('tenfold_engine_up', { engine: 'redis' })} == 0`,
    summary: 'Redis does not answer.',
    means: 'The Redis that processes share for kept answers and rates does not answer. No request fails: each process keeps answers for itself and reads more from the database, and each counts rates alone, so that a caller may do as often as many of what was allowed once.',
    look: [
      { tells: 'which processes go on without it', query: series => `${series('tenfold_cache_shared_up')} == 0` },
      { tells: 'how many requests were counted alone', query: series => `sum by (process) (rate(${series('tenfold_rate_local_total')}[5m]))` },
      { tells: 'what the database has to do more', query: series => `rate(${series('tenfold_postgres_commits_total')}[5m])` },
      supervisorSays, doctorSays,
    ],
    mend: ['The embedded one is started anew by itself: the log says why it ends, most often memory (`memoryBytesMax` of the topology, and what the machine has).', 'It is another machine: its log, and the way to it.', 'It is back: nothing is to be done; it begins empty, and nothing old is given.'],
  },
  {
    name: 'TenfoldSessionsDown', severity: 'page', for: '1m',
    expr: series => `${series('tenfold_engine_up', { engine: 'redis-sessions' })} == 0`,
    summary: 'The Redis with the sessions does not answer.',
    means: 'Whoever is signed in by a session is refused with UNAVAILABLE; who is anonymous, or has a token of its own, is served.',
    look: [{ tells: 'who is refused', query: series => `sum by (intent) (rate(${series('tenfold_intent_errors_total', { code: 'UNAVAILABLE' })}[5m])) > 0` }, supervisorSays, doctorSays],
    mend: ['The embedded one is started anew by itself, with what it wrote down until a second before; its disk is full, or the log says why not.', 'It is another machine: its log, and the way to it.'],
  },
]

const broker: readonly Alert[] = [
  {
    name: 'TenfoldBrokerDown', severity: 'page', for: '2m',
    expr: series => `${series('tenfold_engine_up', { engine: 'nats' })} == 0`,
    summary: 'NATS does not answer.',
    means: 'Commands and queries go on. Events and jobs wait in the outbox: read models grow old, mails are not sent, and what a session wrote may be answered with PROJECTION_BEHIND. Nothing is lost, and all of it goes on by itself.',
    look: [
      { tells: 'how much waits, and for how long', query: series => `${series('tenfold_bus_waiting', { consumer: 'tenfold.broker' })} or ${series('tenfold_bus_oldest_seconds', { consumer: 'tenfold.broker' })}` },
      { tells: 'who waits for read models in vain', query: series => `sum by (intent) (rate(${series('tenfold_intent_errors_total', { code: 'PROJECTION_BEHIND' })}[5m])) > 0` },
      { tells: 'what room its disk has', query: series => series('tenfold_disk_available_bytes', { folder: 'data' }) },
      supervisorSays, doctorSays,
    ],
    mend: ['The embedded one is started anew by itself: its log is `nats/0/log` in the data folder, and says why it ends; most often its disk is full.', 'It is another machine: its log, and the way to it.', 'Its store is lost: start it empty. Events that were not handled are sent again; jobs that it had accepted are gone with it (docs/broker.md).'],
  },
  {
    name: 'TenfoldBrokerFull', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_broker_stored_bytes')} / ${series('tenfold_broker_stored_bytes_max')} > 0.9`,
    summary: 'The stream {{ $labels.stream }} is {{ $value | humanizePercentage }} full.',
    means: 'The broker takes no more events when it is full: they wait in the outbox until consumers have come along. What all have handled is removed from half on, so somebody is far behind.',
    look: [
      { tells: 'who is behind', query: series => `topk(5, ${series('tenfold_bus_waiting')})` },
      { tells: 'whether what comes is more than what is done', query: series => `deriv(${series('tenfold_broker_stored_messages', { stream: 'events' })}[15m])` },
      { tells: 'whether a handler fails', query: series => `sum by (intent, code) (rate(${series('tenfold_intent_errors_total', { kind: anyOf(['subscription', 'projection']) })}[5m])) > 0` },
    ],
    mend: ['One consumer stands still: TenfoldConsumerLag.', 'A bulk of writes, and consumers come along: it empties by itself.', 'It is too small for what is normal: a larger `bytesMax` of the bus in the topology, if the disk has the room.'],
  },
  {
    name: 'TenfoldBrokerCopiesMissing', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_broker_replicas_missing')} > 0`,
    summary: 'The stream {{ $labels.stream }} lacks {{ $value }} of its copies.',
    means: 'A server of the cluster is away or behind. With one of three away all goes on; with two nothing is taken any more.',
    look: [{ tells: 'whether it falls further behind', query: series => series('tenfold_broker_replicas_missing') }, supervisorSays, doctorSays],
    mend: ['Start that server: it catches up by itself.', 'Its disk is full or lost: make room, or start it empty; it gets its copies from the others.'],
  },
]

const replicas: readonly Alert[] = [
  {
    name: 'TenfoldReplicaMissing', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_postgres_replicas_confirming')} < max_over_time(${series('tenfold_postgres_replicas_confirming')}[6h])\nand\n${series('tenfold_postgres_replicas_confirming')} >= ${series('tenfold_postgres_replicas_awaited')}`,
    summary: 'Fewer replicas follow the primary than today before: {{ $value }}.',
    means: 'A replica is gone or does not follow. Reads go to the others or to the primary, commits are confirmed by the others; when one more goes, commits wait (TenfoldPostgresCommitsUnconfirmed).',
    look: [
      { tells: 'which ones follow, and how far behind they are', query: series => series('tenfold_postgres_replication_lag_seconds') },
      { tells: 'what room their disks have: a replica whose disk is full ends, and ends again', query: series => series('tenfold_disk_available_bytes') },
      { tells: 'where queries read meanwhile', query: series => `sum by (server) (rate(${series('tenfold_database_readers_total')}[5m]))` },
      supervisorSays,
      { tells: 'what log is kept for it, in psql at the primary', command: 'SELECT slot_name, active, wal_status, pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)) AS kept FROM pg_replication_slots' },
    ],
    mend: ['Its disk is full: make room, never in `pg_wal`; the embedded one is started again by itself, and made anew where its log has gone.', 'It starts and ends: its log, `postgres/postgres.log` in `replicas/N` of the data folder, says why.', 'It is gone for good: drop its slot (`SELECT pg_drop_replication_slot(…)`), or the log kept for it fills the disk of the primary.'],
  },
  {
    name: 'TenfoldPostgresPromoted', severity: 'ticket',
    expr: series => `${series('tenfold_postgres_timeline')} > min_over_time(${series('tenfold_postgres_timeline')}[1h])`,
    summary: 'A replica has been promoted: the timeline is {{ $value }} now.',
    means: 'The primary was lost and a replica took over within the last hour. Commands were refused with UNAVAILABLE or OUTCOME_UNKNOWN for some seconds; no acknowledged write is missing. The primary of before is made anew as a replica.',
    look: [
      { tells: 'why, and how long there was no primary', command: 'tenfold logs --process supervisor --level info --since 1h' },
      { tells: 'whether every replica follows again', query: series => `${series('tenfold_postgres_replicas_confirming')} or ${series('tenfold_postgres_replicas_awaited')}` },
      { tells: 'what callers were told meanwhile', query: series => `sum by (code) (increase(${series('tenfold_intent_errors_total', { code: anyOf(['UNAVAILABLE', 'OUTCOME_UNKNOWN']) })}[1h]))` },
      { tells: 'what room the disks have', query: series => series('tenfold_disk_available_bytes') },
    ],
    mend: ['Find out why the primary went (memory, disk, a kill): the next time there may be one replica less.', 'A replica is still missing: TenfoldReplicaMissing.', 'It happens again and again: a primary that answers too slowly is held for dead; the machine has too much to do.'],
  },
]

const scaling: readonly Alert[] = [
  {
    name: 'TenfoldScalingLimited', severity: 'ticket', for: '10m',
    expr: series => `${series('tenfold_scaling_limited')} == 1`,
    summary: 'The load wants more processes {{ $labels.name }} than the topology allows.',
    means: 'The autoscaler would start more and may not. What the processes cannot do waits, then is shed.',
    look: [
      { tells: 'what is wanted and allowed', query: series => series('tenfold_scaling_wanted') },
      { tells: 'whether anything is shed', query: series => `sum by (intent) (rate(${series('tenfold_intent_shed_total')}[5m])) > 0` },
      { tells: 'whether the machine has processors left: the share that is busy', query: series => `rate(${series('tenfold_machine_cpu_seconds_total', { state: 'busy' })}[5m]) / on (process) sum by (process) (rate(${series('tenfold_machine_cpu_seconds_total')}[5m]))` },
      { tells: 'what binds', command: 'tenfold advise' },
    ],
    mend: ['The machine has room: a larger `max` in the topology, and `tenfold restart`.', 'It has none: a larger machine, or the next topology (docs/stages.md).', 'One intent takes most of it: the console, page Intents, and `tenfold advise`.'],
  },
  {
    name: 'TenfoldProcessSilent', severity: 'ticket', for: '2m',
    expr: series => `${series('tenfold_process_ready')} == 1 unless on (process) ${series('process_start_time_seconds')}`,
    summary: 'The process {{ $labels.process }} is there and tells nothing.',
    means: 'The process lives and does not answer its supervisor: it is frozen (SIGSTOP, a debugger, memory that is swapped), or something holds its event loop. One that answers requests gets none from the balancer; one in the background may hold what only one may do, so that events and jobs wait for it.',
    look: [
      { tells: 'what waits for it', query: series => `topk(5, ${series('tenfold_bus_oldest_seconds')})` },
      { tells: 'whether the balancer has noticed', query: series => series('tenfold_balancer_nodes') },
      { tells: 'its number and since when it runs', command: 'tenfold doctor' },
      { tells: 'what it said last', command: 'tenfold logs --since 30m' },
    ],
    mend: ['End it: `kill -9` and its number; it is replaced within seconds, and what it held is taken over.', 'It freezes again: `node --cpu-prof` on the same work, or a handler that computes for long (TenfoldEventLoopDelay).', 'The machine swaps: fewer processes, or more memory.'],
  },
]

const share = 'of the disk that the folder {{ $labels.folder }} lies on'
const disk: Pick<Alert, 'look' | 'mend'> = {
  look: [
    { tells: 'since when', query: series => `deriv(${series('tenfold_disk_available_bytes')}[6h])` },
    { tells: 'whether it is the database, or the log kept for a replica', query: series => `${series('tenfold_postgres_size_bytes')} or ${series('tenfold_postgres_replication_lag_bytes')}` },
    { tells: 'whether it is the broker', query: series => series('tenfold_broker_stored_bytes') },
    { tells: 'whether it is the log of a transaction, or a bulk of writes', query: series => `rate(${series('tenfold_postgres_wal_bytes_total')}[15m])` },
    doctorSays,
  ],
  mend: ['Make room, never in `pg_wal` or in `nats`: what is there is still needed.', 'A replication slot of a replica that is gone keeps the log: drop it.', 'It is wanted: a larger disk. What stood still goes on by itself when there is room.'],
}

const machine: readonly Alert[] = [
  {
    name: 'TenfoldDiskNearlyFull', severity: 'ticket', for: '5m', ...disk,
    expr: series => `(${series('tenfold_disk_available_bytes')} / ${series('tenfold_disk_size_bytes')} < 0.1)\nunless\n(${series('tenfold_disk_available_bytes')} / ${series('tenfold_disk_size_bytes')} < 0.02)`,
    summary: `Only {{ $value | humanizePercentage }} ${share} is free.`,
    means: 'Less than a tenth of a disk is free. When it is full a primary stops taking writes, a replica stops following, and the broker takes nothing more.',
  },
  {
    name: 'TenfoldDiskFull', severity: 'page', for: '1m', ...disk,
    expr: series => `${series('tenfold_disk_available_bytes')} / ${series('tenfold_disk_size_bytes')} < 0.02`,
    summary: `Only {{ $value | humanizePercentage }} ${share} is free.`,
    means: 'A disk is as good as full. Of `data`: commands are about to fail, or fail. Of a replica: it stops following (TenfoldReplicaMissing), and commits wait when too few others confirm them.',
  },
  {
    name: 'TenfoldClockOff', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_postgres_clock_offset_seconds')} > 0.5\nor\nabs(timestamp(${series('tenfold_clock_seconds')}) - ${series('tenfold_clock_seconds')}) > 20`,
    summary: 'Clocks are {{ $value | humanizeDuration }} apart.',
    means: 'The clock of the database differs from that of the application, or the application\'s from that of Prometheus. Nothing acknowledged depends on it: order, leases and fencing are the database\'s. But schedules fire at another moment than meant, sessions and tokens end early or late, and the ages that other alerts tell are wrong by as much.',
    look: [
      { tells: 'how far the database is from the application', query: series => series('tenfold_postgres_clock_offset_seconds') },
      { tells: 'Prometheus less application; a read takes its share of it', query: series => `timestamp(${series('tenfold_clock_seconds')}) - ${series('tenfold_clock_seconds')}` },
      { tells: 'whether the machine follows a time server', command: 'timedatectl' },
    ],
    mend: ['Let every machine follow a time server (chrony, systemd-timesyncd), which slews: a step backwards lets schedules of the time between fire once only, since each slot has its id.', 'It is Prometheus that is off: its machine.'],
  },
]

export const scaleAlerts: readonly Alert[] = [...balancer, ...shared, ...broker, ...replicas, ...scaling, ...machine]
