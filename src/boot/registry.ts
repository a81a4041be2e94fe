/** Port × driver: the one table that knows which engine stands behind which name in a topology. */
import type { Logger } from '../base/log.ts'
import { openHttpIngress } from '../drivers/http/ingress.ts'
import { openMemoryBroadcast } from '../drivers/memory/broadcast.ts'
import { openMemoryCache } from '../drivers/memory/cache.ts'
import { openSerialisingTransport } from '../drivers/memory/serialising-transport.ts'
import { openMemoryTransport } from '../drivers/memory/transport.ts'
import { openPostgresBroadcast } from '../drivers/postgres/broadcast.ts'
import { openPostgresBus } from '../drivers/postgres/bus.ts'
import { maxConnectionsOf } from '../drivers/postgres/connection.ts'
import { openPostgresDatabase } from '../drivers/postgres/database.ts'
import { openPostgresInspection } from '../drivers/postgres/inspection.ts'
import { openPostgresLeases } from '../drivers/postgres/lease.ts'
import { openPostgresQueue } from '../drivers/postgres/queue.ts'
import { poolSizes } from '../drivers/postgres/server-settings.ts'
import type { ConnectionDemand, PoolSizes } from '../drivers/postgres/server-settings.ts'
import type { Broadcast } from '../ports/broadcast.ts'
import type { Bus } from '../ports/bus.ts'
import type { Cache } from '../ports/cache.ts'
import type { Database } from '../ports/database.ts'
import type { Ingress } from '../ports/ingress.ts'
import type { Inspection } from '../ports/inspection.ts'
import type { Leases } from '../ports/lease.ts'
import type { Queue } from '../ports/queue.ts'
import type { Transport } from '../ports/transport.ts'
import type { Ports } from '../topology/topology.ts'

export interface Engines {
  readonly database: Database
  /** Null where the topology keeps nothing. */
  readonly cache: Cache | null
  readonly broadcast: Broadcast
  readonly queue: Queue
  readonly bus: Bus
  readonly leases: Leases
  readonly transport: Transport
  readonly ingress: Ingress
}

/** How many connections one of these processes may open to the database for each service. */
export async function poolSizesFor(databaseUrl: string, demand: Omit<ConnectionDemand, 'maxConnections'>): Promise<PoolSizes> {
  return poolSizes({ ...demand, maxConnections: await maxConnectionsOf(databaseUrl) })
}

/** Makes the drivers that a topology names; nothing is opened yet. */
export function driversOf(ports: Ports, databaseUrl: string, log: Logger, pools?: PoolSizes): Engines {
  const database = openPostgresDatabase({ url: databaseUrl, log, ...pools })
  const transports = {
    memory: () => openMemoryTransport(),
    serialising: () => openSerialisingTransport({ retries: ports.transport.driver === 'serialising' ? ports.transport.retries : 0 }),
  }
  const broadcasts = {
    memory: () => openMemoryBroadcast(),
    postgres: () => openPostgresBroadcast({ url: databaseUrl, log }),
  }
  return {
    database,
    cache: ports.cache.driver === 'none' ? null : openMemoryCache({ bytesMax: ports.cache.bytesMax }),
    broadcast: broadcasts[ports.broadcast.driver](),
    queue: openPostgresQueue({ url: databaseUrl, log }),
    bus: openPostgresBus({ url: databaseUrl, log, onAppended: database.onAppended }),
    leases: openPostgresLeases({ url: databaseUrl, log }),
    transport: transports[ports.transport.driver](),
    ingress: openHttpIngress({ log }),
  }
}

/** What looks at the database of a topology, for advice; nothing is opened yet. */
export function inspectionOf(ports: Ports, databaseUrl: string, services: readonly string[]): Inspection {
  const drivers = { postgres: openPostgresInspection }
  return drivers[ports.database.driver]({ url: databaseUrl, services })
}
