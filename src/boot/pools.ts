/** How many connections to the database one process may open for each service, so that those of all processes fit. */
import { availableParallelism } from 'node:os'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { maxConnectionsOf } from '../drivers/postgres/connection.ts'
import { poolSizes } from '../drivers/postgres/server-settings.ts'
import type { ConnectionDemand, PoolSizes } from '../drivers/postgres/server-settings.ts'
import type { Application } from '../model/app.ts'
import { processCountOf } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'

export interface PoolOptions {
  readonly app: Application
  readonly topology: Topology
  readonly databaseUrl: string
  /** Undefined: one process, which nothing restarts. */
  readonly processCount?: number | undefined
  readonly cpu?: number | undefined
  readonly log: Logger
}

export async function poolSizesFor(options: PoolOptions): Promise<PoolSizes & { readonly perService: number }> {
  const maxConnections = await maxConnectionsOf(options.databaseUrl)
  const sizes = poolSizes({ ...demandOf(options), maxConnections })
  const { connections } = options.topology.ports.database
  if (connections && (sizes.readersMax < connections.read || sizes.writersMax < connections.write)) {
    options.log.warn({ wanted: connections, given: { read: sizes.readersMax, write: sizes.writersMax }, maxConnections }, `ports.database.connections of the topology do not fit: Postgres allows ${maxConnections} connections, which leaves each service ${sizes.perService} in each process; raise max_connections`)
  }
  return sizes
}

/** Of several processes one more runs while they are restarted. */
function demandOf({ app, topology, processCount, cpu = 1 }: PoolOptions): Omit<ConnectionDemand, 'maxConnections'> {
  const workers = processCountOf(topology, availableParallelism(), ({ does }) => does !== 'requests')
  const { connections } = topology.ports.database
  return {
    wanted: connections ? { readersMax: connections.read, writersMax: connections.write } : partOf(cpu),
    processes: processCount === undefined ? 1 : processCount + 1,
    workers: processCount === undefined ? 1 : workers + 1,
    services: Math.max(1, app.services.length),
    // The last two: what repeats invalidations, and the relay.
    consumers: 2 + [...app.intents.values()].filter(({ kind }) => kind === 'subscription' || kind === 'projection').length,
  }
}

/** A process that can do a fifth of the work has a fifth of the transactions under way. */
const partOf = (cpu: number): PoolSizes => {
  const part = (wanted: number) => Math.max(connectionsMin, Math.ceil(wanted * Math.min(1, cpu)))
  return { readersMax: part(limits.readersMax), writersMax: part(limits.writersMax) }
}
const connectionsMin = 2
