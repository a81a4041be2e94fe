/** What the console is told each second. Plain data; nothing here needs Node, for the page imports these shapes too. */

export interface ProcessSample {
  readonly name: string
  readonly replica: number
  readonly pid: number | null
  readonly state: string
  readonly restarts: number
  readonly startedAtMs: number
  readonly does: string
  /** Null while the process does not answer. */
  readonly use: ProcessUse | null
}

export interface ProcessUse {
  /** Cores in use. */
  readonly cpu: number
  /** Share of the time in which the event loop was busy. */
  readonly loop: number
  readonly memoryBytes: number
  readonly requestsPerSecond: number
  readonly statementsPerSecond: number
  readonly eventsPerSecond: number
  readonly jobsPerSecond: number
  /** Looks into the cache that processes share. */
  readonly sharedLooksPerSecond: number
  readonly inFlight: number
  readonly inFlightMax: number
  readonly connections: number
  readonly connectionsMax: number
  /** Statements and transactions that wait for a connection. */
  readonly connectionsAwaited: number
  readonly cacheBytes: number
  readonly cacheBytesMax: number
  /** Null without a cache, or when nothing was asked of it. */
  readonly cacheHits: number | null
}

/** Of the last ten seconds, by intent; those of which nothing happened are left out. */
export interface IntentSample {
  readonly intent: string
  readonly kind: string
  readonly perSecond: number
  readonly refusedPerSecond: number
  readonly failedPerSecond: number
  readonly shedPerSecond: number
  /** Null when none ended well or badly. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  /** Share of the answers that were kept ones; null for what is not kept. */
  readonly cacheHits: number | null
  readonly statementsPerCall: number
  readonly statementMsPerCall: number
}

export interface HttpSample {
  readonly perSecond: number
  readonly failedPerSecond: number
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

export interface ConsumerSample {
  readonly name: string
  readonly waiting: number
  readonly oldestMs: number
  readonly parked: number
  readonly dead: number
}

export interface QueueSample {
  readonly waiting: number
  readonly running: number
  readonly scheduled: number
  readonly dead: number
  readonly oldestMs: number
}

export interface PostgresSample {
  readonly connections: number
  readonly connectionsMax: number
  readonly locksAwaited: number
  readonly commitsPerSecond: number
  readonly rollbacksPerSecond: number
  readonly walBytesPerSecond: number
  /** Share of the blocks that were in memory; null when none was read. */
  readonly cacheHits: number | null
  readonly sizeBytes: number
}

export interface ReplicaSample {
  readonly name: string
  readonly lagBytes: number
  readonly lagMs: number
}

export interface ReplicasSample {
  /** Those that follow. */
  readonly replicas: readonly ReplicaSample[]
  /** How many count for a commit, and how many must have it. */
  readonly confirming: number
  readonly awaited: number
  /** Runs of queries by where they read. */
  readonly readsPerSecond: number
  readonly primaryReadsPerSecond: number
}

/** Numbers are null while it does not answer; the maximum also where there is none. */
export interface RedisSample {
  readonly server: string
  readonly isUp: boolean
  readonly memoryBytes: number | null
  readonly memoryBytesMax: number | null
  readonly keys: number | null
  /** Share of the reads that found something; null when nothing was read. */
  readonly hits: number | null
  readonly commandsPerSecond: number
}

export interface StreamSample {
  readonly name: string
  readonly messages: number
  readonly bytes: number
  readonly bytesMax: number | null
  readonly copiesMissing: number
}

export interface BrokerSample { readonly isUp: boolean; readonly streams: readonly StreamSample[] }

/** Nodes by state, requests as the balancer counts them. */
export interface BalancerSample {
  readonly isUp: boolean
  readonly up: number
  readonly draining: number
  readonly down: number
  readonly ejected: number
  readonly waiting: number
  readonly requestsPerSecond: number
  readonly repeatedPerSecond: number
}

/** Of the processes of a name that are scaled. */
export interface ScalingSample {
  readonly name: string
  readonly wanted: number
  /** More would be wanted than the topology allows. */
  readonly isLimited: boolean
}

/** The resource nearest to its limit. */
export interface Pressure {
  /** `web 0`, or the name of an engine. */
  readonly at: string
  readonly resource: string
  readonly share: number
}

export interface Sample {
  readonly atMs: number
  readonly processes: readonly ProcessSample[]
  readonly intents: readonly IntentSample[]
  readonly http: HttpSample
  readonly consumers: readonly ConsumerSample[] | null
  readonly queue: QueueSample | null
  readonly postgres: PostgresSample | null
  readonly replicas: ReplicasSample | null
  readonly redis: readonly RedisSample[]
  readonly broker: BrokerSample | null
  readonly balancer: BalancerSample | null
  readonly scaling: readonly ScalingSample[]
  /** Null when nothing is near its limit. */
  readonly pressure: Pressure | null
}
