/** Where the database of a topology is: given by urls, or started here, with its replicas. */
import { availableParallelism } from 'node:os'
import type { CpuQuotas } from '../base/cpu-quota.ts'
import { fault } from '../base/errors.ts'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { findServer } from '../drivers/postgres/examination.ts'
import { readGroupState } from '../drivers/postgres/group-state.ts'
import { urlOfAll } from '../drivers/postgres/members.ts'
import { startPostgresGroup } from '../drivers/postgres/server-group.ts'
import { startPostgresServer } from '../drivers/postgres/server.ts'
import { machineHere } from '../drivers/postgres/server-settings.ts'
import { livingHolder } from '../drivers/process/data-folder.ts'
import { processCountOf } from '../topology/plan.ts'
import type { FromEnvironment, Topology } from '../topology/topology.ts'

export interface DatabaseOptions {
  readonly dataFolder: string
  readonly log: Logger
  /** Keep the servers to their limits; a guest, who does not stay, leaves them without. */
  readonly quotas?: CpuQuotas | null
}

/** The url of the database; starts the embedded one when the topology asks for it. A guest leaves a server that ran before as it is. */
export async function databaseOf(topology: Topology, options: DatabaseOptions, closers: Closers, isGuest = false): Promise<string> {
  const { database } = topology.ports
  if ('url' in database) return givenUrl(database.url, database.replicaUrls)
  const { dataFolder, log, quotas } = options
  const { replicas = 0, synchronous = 0, cpu } = database
  const limit = quotas && cpu !== undefined ? (name: string) => quotas.limit(name, cpu) : undefined
  const { primary } = await readGroupState(dataFolder)
  // One more runs while they are restarted.
  const whole = machineHere(processCountOf(topology, availableParallelism()) + 1, database.settings === 'machine')
  const machine = { ...whole, memoryBytes: whole.memoryBytes / (1 + replicas), cores: Math.min(whole.cores, Math.ceil(cpu ?? Infinity)) }
  if (replicas === 0 && primary === 0) {
    const server = await startPostgresServer({ dataFolder, log, machine, group: limit?.('postgres-0') })
    closers.add(() => isGuest && server.adopted ? server.detach() : server.stop())
    return server.url
  }
  // A group has one keeper; a guest of one that runs only has to know where the primary is.
  if (isGuest && await isDeployed(dataFolder)) {
    const running = await findServer(dataFolder)
    if (running) return running.url
  }
  // Both switches are for negative controls: what is lost without the protection.
  const group = await startPostgresGroup({ dataFolder, log, machine, limit, replicas, synchronous, promotes: process.env.TENFOLD_PROMOTES === 'always' ? 'always' : 'safely', fences: process.env.TENFOLD_FENCE !== 'off' })
  closers.add(() => isGuest && group.adopted ? group.detach() : group.stop())
  return group.url
}

/** The url of a topology that names one; of several servers, one that names all. */
export function givenUrl(url: string | FromEnvironment, replicaUrls: readonly (string | FromEnvironment)[] = []): string {
  const value = (one: string | FromEnvironment) => {
    if (typeof one === 'string') return one
    const found = process.env[one.env]
    if (!found) throw fault('USAGE', `the topology takes the database from the environment variable ${one.env}, which is not set; set it to postgres://user:password@host:port/database`)
    return found
  }
  return urlOfAll([url, ...replicaUrls].map(value))
}

/** True while a deployment runs on this data folder. */
export const isDeployed = (dataFolder: string): Promise<boolean> => livingHolder(dataFolder).then(pid => pid !== null)
