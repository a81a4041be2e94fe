/** Port × driver: the one table that knows which engine stands behind which name in a topology. */
import path from 'node:path'
import type { Logger } from '../base/log.ts'
import type { MetricRegistry } from '../base/metric-registry.ts'
import { openFetchCdn } from '../drivers/fetch/cdn.ts'
import { openFilesystemBlobs } from '../drivers/filesystem/blobs.ts'
import { openHttpIngress } from '../drivers/http/ingress.ts'
import { openMemoryBroadcast } from '../drivers/memory/broadcast.ts'
import { openMemoryCache } from '../drivers/memory/cache.ts'
import { openSerialisingTransport } from '../drivers/memory/serialising-transport.ts'
import { openMemoryRates } from '../drivers/memory/rate.ts'
import { openMemoryTransport } from '../drivers/memory/transport.ts'
import { openNatsBus } from '../drivers/nats/bus.ts'
import { openNatsQueue } from '../drivers/nats/queue.ts'
import { openPostgresBroadcast } from '../drivers/postgres/broadcast.ts'
import { openPostgresBus } from '../drivers/postgres/bus.ts'
import { openPostgresDatabase } from '../drivers/postgres/database.ts'
import type { PostgresDatabase } from '../drivers/postgres/database.ts'
import { openPostgresInspection } from '../drivers/postgres/inspection.ts'
import { openPostgresLeases } from '../drivers/postgres/lease.ts'
import { openPostgresOutbox, relayName } from '../drivers/postgres/outbox.ts'
import { openPostgresQueue } from '../drivers/postgres/queue.ts'
import { openPostgresRates } from '../drivers/postgres/rate.ts'
import { openPostgresSessions } from '../drivers/postgres/session.ts'
import { openRedisCache } from '../drivers/redis/cache.ts'
import { openRedisRates } from '../drivers/redis/rate.ts'
import { openRedisSessions } from '../drivers/redis/session.ts'
import type { Broadcast } from '../ports/broadcast.ts'
import { openVarnishCdn } from '../drivers/varnish/cdn.ts'
import type { Blobs } from '../ports/blobs.ts'
import type { Bus } from '../ports/bus.ts'
import type { Cache, SharedCache } from '../ports/cache.ts'
import type { Cdn } from '../ports/cdn.ts'
import type { Database } from '../ports/database.ts'
import type { Ingress } from '../ports/ingress.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { Leases } from '../ports/lease.ts'
import type { Queue } from '../ports/queue.ts'
import type { Rates } from '../ports/rate.ts'
import type { Sessions } from '../ports/session.ts'
import type { Transport } from '../ports/transport.ts'
import type { Ports } from '../topology/topology.ts'
import { brokerPrefixOf } from './broker.ts'
import { cdnSecretOf } from './cdn.ts'
import { given } from './given.ts'
import { redisOptionsOf } from './redis.ts'

export interface Engines {
  readonly database: Database
  /** Null where the topology keeps nothing. */
  readonly cache: Cache | null
  /** What processes have behind their own; null where they share nothing. */
  readonly sharedCache: SharedCache | null
  readonly broadcast: Broadcast
  /** Null where nothing stands in front. */
  readonly cdn: Cdn | null
  readonly queue: Queue
  readonly bus: Bus
  readonly leases: Leases
  readonly rates: Rates
  /** Counts within the process while the engine of `rates` is away; null where that is the process. */
  readonly localRates: Rates | null
  /** Of applications that have sessions. */
  readonly sessions: Sessions
  readonly transport: Transport
  readonly ingress: Ingress
  readonly blobs: Blobs
}

/** Connections to the database for each service; see pools.ts. */
interface Pools { readonly readersMax?: number; readonly writersMax?: number }

/** What drivers are made with. */
export interface DriverOptions {
  readonly databaseUrl: string
  /** Without it what is meant for a broker waits in the outbox: for a seed, say. */
  readonly brokerUrl?: string | undefined
  readonly log: Logger
  readonly dataFolder: string
  /** The deployment's. */
  readonly secret: Buffer
  readonly pools?: Pools
  /** Null: drivers measure nothing. */
  readonly metrics?: MetricRegistry | null
}

type BacklogOptions = Pick<DriverOptions, 'databaseUrl' | 'brokerUrl' | 'log' | 'secret' | 'metrics'>

/** Makes the drivers that a topology names; nothing is opened yet. */
export function driversOf(ports: Ports, options: DriverOptions): Engines {
  const { databaseUrl, log, dataFolder, secret, pools, metrics = null } = options
  const database = openPostgresDatabase({ url: databaseUrl, log, metrics, ...pools })
  const transports = {
    memory: () => openMemoryTransport(),
    serialising: () => openSerialisingTransport({ retries: ports.transport.driver === 'serialising' ? ports.transport.retries : 0 }),
  }
  const broadcasts = {
    memory: () => openMemoryBroadcast(),
    postgres: () => openPostgresBroadcast({ url: databaseUrl, log }),
  }
  const redis = () => redisOptionsOf(ports.redis!, 'cache', { dataFolder, secret, log })
  const rates = {
    memory: () => openMemoryRates(),
    postgres: () => openPostgresRates({ url: databaseUrl, log }),
    redis: () => openRedisRates(redis()),
  }
  return {
    database,
    cache: ports.cache.driver === 'none' ? null : openMemoryCache({ bytesMax: ports.cache.bytesMax }),
    sharedCache: ports.cache.driver === 'redis' ? openRedisCache(redis()) : null,
    broadcast: broadcasts[ports.broadcast.driver](),
    cdn: cdnOf(ports.cdn, secret, log),
    ...backlogOf(ports, options, database),
    leases: openPostgresLeases({ url: databaseUrl, log }),
    rates: rates[ports.rate.driver](),
    localRates: ports.rate.driver === 'memory' ? null : openMemoryRates(),
    sessions: sessionsOf(ports, { databaseUrl, dataFolder, secret, log }),
    transport: transports[ports.transport.driver](),
    ingress: openHttpIngress({ log, metrics }),
    blobs: openFilesystemBlobs({ folder: path.join(dataFolder, 'blobs') }),
  }
}

function sessionsOf({ sessions }: Ports, { databaseUrl, ...place }: Pick<DriverOptions, 'databaseUrl' | 'dataFolder' | 'secret' | 'log'>): Sessions {
  return sessions?.driver === 'redis' ? openRedisSessions(redisOptionsOf(sessions, 'state', place)) : openPostgresSessions({ url: databaseUrl, log: place.log })
}

function cdnOf(cdn: Ports['cdn'], secret: Buffer, log: Logger): Cdn | null {
  if (cdn.driver === 'none') return null
  if (cdn.driver === 'varnish') return openVarnishCdn({ url: `http://127.0.0.1:${cdn.port}`, secret: cdnSecretOf(secret) })
  const headers = Object.fromEntries(Object.entries(cdn.headers).map(([name, value]) => [name, given(value, `the CDN's header ${name}`)]))
  return openFetchCdn({ url: given(cdn.url, "the CDN's url"), headers, body: cdn.body, tagsMax: cdn.tagsMax, log })
}

/** What reads the outbox beside the consumers of the application. */
export const relaysOf = ({ bus }: Ports): readonly string[] => bus.driver === 'nats' ? [relayName] : []

/** What is asked about events and jobs from outside the processes: depths, what is dead; nothing is opened yet. */
export function backlogOf(ports: Ports, { databaseUrl: url, brokerUrl = '', log, secret, metrics = null }: BacklogOptions, database?: PostgresDatabase): Pick<Engines, 'bus' | 'queue'> {
  const broker = { url: brokerUrl, prefix: brokerPrefixOf(secret), replicas: replicasOf(ports.broker) }
  const databaseLog = openPostgresBus({ url, log, metrics, onAppended: database?.onAppended, sender: database?.sender })
  const outbox = () => openPostgresOutbox({ url, log, onAppended: database?.onAppended })
  return {
    bus: ports.bus.driver === 'nats' ? openNatsBus({ ...broker, ...ports.bus, outbox: outbox(), log: databaseLog, logger: log, metrics }) : databaseLog,
    queue: ports.queue.driver === 'nats' ? openNatsQueue({ ...broker, log }) : openPostgresQueue({ url, log, metrics }),
  }
}

const replicasOf = (broker: Ports['broker']): number => broker === undefined ? 1 : 'embedded' in broker ? broker.nodes : broker.replicas

/** What looks at the database of a topology, for advice; nothing is opened yet. */
export function inspectionOf(ports: Ports, databaseUrl: string, services: readonly string[]): Inspection {
  const drivers = { postgres: openPostgresInspection }
  return drivers[ports.database.driver]({ url: databaseUrl, services })
}
