/** Every cap in one place, with its unit last. The relations between them are asserted below. */
import assert from 'node:assert/strict'

export const limits = {
  /** HTTP: largest body, header block, number of headers and nesting of JSON. */
  bodyBytesMax: 1_048_576,
  headerBytesMax: 16_384,
  headersMax: 100,
  jsonDepthMax: 64,
  urlBytesMax: 8_192,
  connectionsMax: 10_000,
  /** Server guards: reliability.md, finding 3. They bite only with the checking interval. */
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 72_000,
  connectionsCheckingIntervalMs: 1_000,

  /** A call's life unless its intent says otherwise. */
  queryDeadlineMs: 5_000,
  commandDeadlineMs: 10_000,
  jobDeadlineMs: 60_000,
  callDepthMax: 16,

  /** Admission, in each process: the fewest and the most requests in flight, and the latency that is no overload yet. */
  concurrencyMin: 36,
  concurrencyMax: 512,
  admissionQueueMs: 100,
  /** So long may a command from outside wait for a connection while others do. */
  connectionQueueMs: 250,
  /** A queue that was empty within this time is a burst, which may take as long to drain. */
  burstMs: 1_000,
  /** A new connection that none of several processes takes in this time is refused. */
  connectionWaitMs: 2_000,

  /** A request that takes longer has a line in the log. */
  slowRequestMs: 1_000,

  /** One layer retries: at most this many tries, out of a budget of a fifth of the calls. */
  attemptsMax: 3,
  retryBudgetRatio: 0.2,
  retryBudgetPerSecondMin: 10,

  /** Postgres. Connections of one service in one process, where a topology says nothing and they fit. */
  readersMax: 3,
  writersMax: 8,
  statementsNamedMax: 500,
  statementTimeoutMs: 9_000,
  transactionTimeoutMs: 10_000,
  lockTimeoutMs: 5_000,
  connectTimeoutMs: 5_000,

  /** Events and jobs. */
  batchEventsMax: 500,
  eventAttemptsMax: 5,
  jobAttemptsMax: 8,
  jobConcurrency: 4,
  payloadBytesMax: 262_144,
  outboxRetentionMs: 86_400_000,
  inboxRetentionMs: 7 * 86_400_000,
  /** So long the outbox is kept for a consumer that the application no longer has: it may come back. */
  consumerRetentionMs: 7 * 86_400_000,
  idempotencyRetentionMs: 86_400_000,
  idempotencyKeyCharactersMax: 255,

  /** Consistency (data.md §3.6, DESIGN.md I5). */
  replicaWaitMs: 50,
  /** A replica that has lacked something for longer is not read from. */
  replicaLagMaxMs: 1_000,
  projectionWaitMs: 2_000,
  tokenLifeMs: 10_000,
  /** A process that handles events says that it is ready when read models are up to date, or after this time. */
  settleMs: 5_000,

  /** A cache that processes share: how long one reads for all, and how long the others wait for it. */
  cacheLeaseMs: 5_000,
  cacheWaitMs: 1_000,

  /** Leases. */
  leaseTtlMs: 5_000,

  /** Shutdown: what runs may finish, then it is cut. */
  drainMs: 8_000,
} as const

assert(limits.statementTimeoutMs < limits.transactionTimeoutMs, 'a statement ends before its transaction does')
assert(limits.lockTimeoutMs < limits.statementTimeoutMs, 'a lock wait ends before its statement does')
assert(limits.drainMs < 10_000, 'SIGTERM promises a stop within 10 s')
assert(limits.replicaWaitMs < limits.queryDeadlineMs && limits.projectionWaitMs < limits.queryDeadlineMs, 'a bounded wait fits into a query')
assert(limits.cacheWaitMs < limits.cacheLeaseMs && limits.cacheWaitMs < limits.queryDeadlineMs, 'who waits in vain still reads in time')
assert(limits.inboxRetentionMs > limits.outboxRetentionMs, 'the inbox remembers longer than the outbox can deliver again')
