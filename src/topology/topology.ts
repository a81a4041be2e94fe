/**
 * A topology: which processes run what, and which driver stands behind each port. Plain
 * data, complete in itself, keys always in the same order, so that two topologies are
 * compared with `diff`. Durations are written for people ('30s') in these files only.
 */
import type { Application, ServiceName } from '../model/app.ts'

/** A value, or the environment variable that holds it. */
export type FromEnvironment = { readonly env: string }

/** What a process does for its services: answer requests; deliver events, run jobs and schedules; or both. */
export type Role = 'everything' | 'requests' | 'background'

export interface Scale { readonly min: number; readonly max: number; readonly target?: number }

export interface ProcessTopology<Name extends string = string> {
  /** 'everything', or the services this process runs. */
  readonly runs: 'everything' | readonly Name[]
  readonly does: Role
  /** 'cores': one for each core of the machine. Bounds: the autoscaler decides; `target` is the share of a process that may be busy, 0.6 unless told otherwise. */
  readonly replicas: number | 'cores' | Scale
  /** At most so many cores for each of them, like 0.5, by cgroups of Linux: docs/autoscaling.md. */
  readonly cpu?: number
}

/** docs/database.md. */
export type DatabaseTopology = { readonly connections?: Connections } & (
  /** Stays `small` unless it may take the `machine`. So many `replicas` stand beside it, and a commit is on the disk of `synchronous` of them before it is acknowledged. `cpu`: at most so many cores for each server. */
  | { readonly driver: 'postgres'; readonly embedded: true; readonly settings?: 'small' | 'machine'; readonly replicas?: number; readonly synchronous?: number; readonly cpu?: number }
  /** `replicaUrls`: other servers of the same database, whichever of them is the primary now. `url` may name several too, with commas. */
  | { readonly driver: 'postgres'; readonly url: string | FromEnvironment; readonly replicaUrls?: readonly (string | FromEnvironment)[] })

/** A Redis that is started here, in the data folder, or one that runs elsewhere. */
export type RedisServer = ({ readonly embedded: true; readonly memoryBytesMax: number } | { readonly url: string | FromEnvironment }) & {
  /** A call that takes longer is given up, and a few of them in a row make Redis count as away. Default 20. */
  readonly callMs?: number
}

/** At most so many to the database for each service of each process; fewer where the server allows fewer. Default 3 and 8. */
export interface Connections {
  /** For single statements, several of which travel on one. */
  readonly read: number
  /** For transactions, each of which has one to itself. */
  readonly write: number
}

export interface Ports {
  readonly database: DatabaseTopology
  /** No port: the Redis that `cache` and `rate` use. All that it has may be lost; it makes room by forgetting. */
  readonly redis?: RedisServer
  /** 'memory': each process keeps answers, and forgets what a broadcast names. 'redis': so too, and what one has read the others find there. */
  readonly cache: { readonly driver: 'none' } | { readonly driver: 'memory' | 'redis'; readonly bytesMax: number }
  readonly broadcast: { readonly driver: 'memory' } | { readonly driver: 'postgres' }
  /**
   * What stands in front and keeps public answers. 'varnish' is started here, on a port of its
   * own, before the ingress; 'fetch' is a hosted one, told by its API what to forget: `body`
   * is JSON in which `{tags}` stands for the tags.
   */
  readonly cdn: { readonly driver: 'none' } | { readonly driver: 'varnish'; readonly port: number; readonly bytesMax: number }
    | { readonly driver: 'fetch'; readonly url: string | FromEnvironment; readonly headers: Readonly<Record<string, string | FromEnvironment>>; readonly body?: unknown; readonly tagsMax: number }
  /** Of a queue or bus on NATS, and left out without: started here, one server or a cluster of three, or found by `url`, several with commas between them. */
  readonly broker?: { readonly driver: 'nats'; readonly embedded: true; readonly nodes: 1 | 3 } | { readonly driver: 'nats'; readonly url: string | FromEnvironment; readonly replicas: 1 | 3 | 5 }
  /** `concurrency`: jobs at a time in each process. */
  readonly queue: { readonly driver: 'postgres'; readonly concurrency: number } | { readonly driver: 'nats'; readonly concurrency: number }
  /** `partitions`: how many processes may work for one consumer at a time. `bytesMax`: events that the broker keeps; the rest waits in the outbox. */
  readonly bus: { readonly driver: 'postgres' } | { readonly driver: 'nats'; readonly partitions: number; readonly bytesMax: number }
  readonly lease: { readonly driver: 'postgres' }
  /** Counts the calls of intents that have a rate: 'memory' for one process that answers requests, 'postgres' or 'redis' for all together. */
  readonly rate: { readonly driver: 'memory' } | { readonly driver: 'postgres' } | { readonly driver: 'redis' }
  /** Who has signed in, where an application has sessions: by default in the database. A Redis for them is one that forgets nothing to make room, and keeps what it has on disk. */
  readonly sessions?: { readonly driver: 'postgres' } | ({ readonly driver: 'redis' } & RedisServer)
  readonly transport: { readonly driver: 'memory' } | { readonly driver: 'serialising'; readonly retries: number }
  /**
   * 'http': the supervisor holds the port, and its processes take turns. 'haproxy': HAProxy holds it, and every process is a node with a port of its own.
   * `proxies`: how many trusted ones stand in front of the nodes; the address of a request is then what they write into X-Forwarded-For. Default: those started here.
   */
  readonly ingress: { readonly driver: 'http' | 'haproxy'; readonly port: number; readonly proxies?: number }
  readonly blobs: { readonly driver: 'filesystem' }
  readonly orchestrator: { readonly driver: 'process' }
}

export interface Topology<App extends Application = Application> {
  readonly about: string
  readonly outgrow: string
  readonly users: readonly [number, number]
  readonly processes: Readonly<Record<string, ProcessTopology<ServiceName<App>>>>
  readonly ports: Ports
}
