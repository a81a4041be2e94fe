/** Alerts on the deployment and its processes. */
import type { Alert } from './alert.ts'

/** Whoever asks waits for a turn of the event loop several times: overload is refused long before. */
const loopDelaySecondsMax = 0.25

const deployment: readonly Alert[] = [
  {
    name: 'TenfoldDown', severity: 'page', for: '2m',
    expr: (_, job) => `up{job=${JSON.stringify(job)}} == 0\nor\nabsent(up{job=${JSON.stringify(job)}})`,
    summary: 'Nothing is told at the admin port of {{ $labels.job }}: it is down, or Prometheus does not reach it.',
    means: 'Prometheus could not read `/metrics` for two minutes, or does not know the job. The supervisor is gone, or the way to it. All other alerts are blind meanwhile.',
    look: [
      { tells: 'when it went', query: () => 'up' },
      { tells: 'what is wrong on its machine', command: 'tenfold doctor' },
      { tells: 'how it ended', command: 'tenfold logs --process supervisor --since 1h' },
    ],
    mend: ['It does not run: `tenfold start`; it recovers by itself from any end, a loss of power too.', 'It runs: see the target in `prometheus.yml`, and whether the admin port asks for a token (ADMIN_HOST, ADMIN_LOGIN).'],
  },
  {
    name: 'TenfoldNoProcessReady', severity: 'page', for: '1m',
    expr: series => `sum by (job) (${series('tenfold_process_ready')}) == 0`,
    summary: 'No process of {{ $labels.job }} takes work.',
    means: 'The supervisor lives, and none of its processes is ready: nothing is answered.',
    look: [
      { tells: 'which processes come and go', query: series => series('tenfold_process_restarts_total') },
      { tells: 'why they do not become ready', command: 'tenfold logs --level error --since 15m' },
      { tells: 'whether the database is there', query: series => series('tenfold_engine_up') },
    ],
    mend: ['A fault in new code: put the version before it back; the supervisor starts it by itself.', 'The database does not come up: `tenfold doctor` says what it lacks (disk, memory, a lock on its folder).'],
  },
  {
    name: 'TenfoldProcessNotReady', severity: 'ticket', for: '5m',
    expr: series => `${series('tenfold_process_ready')} == 0`,
    summary: 'The process {{ $labels.process }} has not taken work for five minutes.',
    means: 'One process is missing for longer than a restart takes. The others do its work; a worker that is the only one leaves events and jobs waiting.',
    look: [{ tells: 'what it says', command: 'tenfold logs --level warn --since 15m' }, { tells: 'how often it was started', query: series => series('tenfold_process_restarts_total') }],
    mend: ['It starts and ends again and again: the log says where; the last change is the first suspect.', 'It hangs: `tenfold restart` replaces it without a failed request.'],
  },
  {
    name: 'TenfoldProcessRestarts', severity: 'ticket',
    expr: series => `increase(${series('tenfold_process_restarts_total')}[15m]) > 2.5`,
    summary: 'The process {{ $labels.process }} ended unasked three times or more in 15 minutes.',
    means: 'A process crashes repeatedly. Each time its requests under way fail, and what was acknowledged is kept.',
    look: [
      { tells: 'the stack, or the signal', command: 'tenfold logs --level fatal --since 1h' },
      { tells: 'whether it runs out of heap: near 1 before the end', query: series => `${series('v8js_memory_heap_used_bytes')} / ${series('v8js_memory_heap_limit_bytes')}` },
    ],
    mend: ['A programming error crashes on purpose: mend it where the stack points.', 'The system killed it (signal 9): more memory, or fewer processes.'],
  },
]

const loop: readonly Alert[] = [
  {
    name: 'TenfoldEventLoopBusy', severity: 'ticket', for: '10m',
    expr: series => `sum by (job, process) (rate(${series('nodejs_eventloop_time_seconds_total', { state: 'active' })}[5m]))\n/ sum by (job, process) (rate(${series('nodejs_eventloop_time_seconds_total')}[5m])) > 0.9`,
    summary: 'The event loop of {{ $labels.process }} is busy {{ $value | humanizePercentage }} of the time.',
    means: 'A process has no CPU time left; what comes more waits, then is shed.',
    look: [
      { tells: 'which intents are called most', query: series => `topk(5, sum by (intent) (rate(${series('tenfold_intent_requests_total')}[5m])))` },
      { tells: 'how much of it is the garbage collector', query: series => `sum by (process) (rate(${series('v8js_gc_duration_seconds_sum')}[5m]))` },
      { tells: 'how many answers come from the cache', query: series => `sum by (intent, result) (rate(${series('tenfold_intent_cache_requests_total')}[5m]))` },
    ],
    mend: ['Topology 2 has a process per core: `tenfold start --topology 2-tuned`.', 'A query that is asked much and changes little: give it a freshness.'],
  },
  {
    name: 'TenfoldEventLoopDelay', severity: 'ticket', for: '10m',
    expr: series => `histogram_quantile(0.99, sum by (job, process, le) (rate(${series('nodejs_eventloop_delay_seconds_bucket')}[5m]))) > ${loopDelaySecondsMax}`,
    summary: 'Timers of {{ $labels.process }} run {{ $value | humanizeDuration }} late (p99).',
    means: 'Something holds the event loop for long at a time: every request of the process waits for it.',
    look: [
      { tells: 'whether it is the garbage collector: p99 of its pauses', query: series => `histogram_quantile(0.99, sum by (process, v8js_gc_type, le) (rate(${series('v8js_gc_duration_seconds_bucket')}[5m])))` },
      { tells: 'requests that took long', command: 'tenfold logs --level warn --since 15m' },
    ],
    mend: ['Work that computes for long goes into a job, or away from the thread.', 'Answers of megabytes: give them pages.', 'The machine itself has no CPU left: look at what else runs there.'],
  },
  {
    name: 'TenfoldHeapNearLimit', severity: 'ticket', for: '10m',
    expr: series => `${series('v8js_memory_heap_used_bytes')} / ${series('v8js_memory_heap_limit_bytes')} > 0.9`,
    summary: 'The heap of {{ $labels.process }} is {{ $value | humanizePercentage }} full.',
    means: 'A process is about to run out of heap; then it ends and is started again.',
    look: [
      { tells: 'whether it grows all the time, or since when', query: series => series('v8js_memory_heap_used_bytes') },
      { tells: 'how much of it are kept answers', query: series => `${series('tenfold_cache_bytes')} / ${series('tenfold_cache_limit_bytes')}` },
    ],
    mend: ['It grows since a change: something is kept for ever.', 'It is only small: `NODE_OPTIONS=--max-old-space-size=…` at the start, or a smaller cache in the topology.'],
  },
  {
    name: 'TenfoldConnectionsAwaited', severity: 'ticket', for: '10m',
    expr: series => `min_over_time(${series('db_client_connections_pending_requests', { pool: 'write' })}[5m]) > 0`,
    summary: 'Commands of {{ $labels.service }} in {{ $labels.process }} have waited for connections all the time.',
    means: 'The pool for transactions is too small for what is asked, or its transactions take too long.',
    look: [
      { tells: 'how many are in use', query: series => series('db_client_connections', { pool: 'write', state: 'used' }) },
      { tells: 'whether transactions wait for locks', query: series => series('tenfold_postgres_locks_waiting') },
    ],
    mend: ['Locks are waited for: two commands write the same rows; see the dashboard database.', 'Statements are slow: `tenfold advise`.', 'Neither: more connections in the topology, below what Postgres allows.'],
  },
]

export const processAlerts: readonly Alert[] = [...deployment, ...loop]
