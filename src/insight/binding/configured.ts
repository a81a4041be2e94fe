/** What a deployment is configured to be, as far as a step would change it. */
import type { Plan } from '../../topology/plan.ts'
import type { Topology } from '../../topology/topology.ts'

export interface Configured {
  readonly topology: string
  readonly hasCache: boolean
  /** Of the topologies beside it, the next. */
  readonly nextTopology: string | null
  /** Those that answer requests. */
  readonly processes: number
}

export function configuredOf({ topology: name, processes }: Pick<Plan, 'topology' | 'processes'>, { ports }: Topology, nextTopology: string | null): Configured {
  return {
    topology: name, nextTopology, hasCache: ports.cache.driver !== 'none',
    processes: processes.filter(({ does }) => does !== 'background').reduce((sum, one) => sum + one.replicas, 0),
  }
}
