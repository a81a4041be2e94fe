/**
 * An application and a topology make a plan: pure data about processes, listeners, routes
 * and grants, that orchestrators and ingress render. `checkTopology` refuses a topology
 * whose drivers cannot keep the invariants (I10), with the mend in the message.
 */
import { bucketCount } from '../base/id.ts'
import type { Application } from '../model/app.ts'
import { manifestOf } from '../model/manifest.ts'
import type { Topology } from './topology.ts'

export interface PlannedProcess {
  readonly name: string
  readonly replicas: number
  readonly services: readonly string[]
}

export interface Plan {
  readonly application: string
  readonly topology: string
  readonly processes: readonly PlannedProcess[]
  readonly listener: { readonly driver: string; readonly port: number }
  readonly routes: readonly { readonly method: string; readonly path: string; readonly intent: string }[]
  /** Which role may use which schema. */
  readonly grants: readonly { readonly role: string; readonly schema: string }[]
  readonly databases: readonly { readonly name: string; readonly services: readonly string[]; readonly buckets: readonly [number, number] }[]
}

export function planOf(app: Application, name: string, topology: Topology): Plan {
  const manifest = manifestOf(app)
  const services = manifest.services
  return {
    application: app.name,
    topology: name,
    processes: Object.entries(topology.processes).map(([process, { runs, replicas }]) => ({
      name: process, replicas, services: runs === 'everything' ? services : runs,
    })),
    listener: { driver: topology.ports.ingress.driver, port: topology.ports.ingress.port },
    routes: manifest.intents.flatMap(intent => intent.http ? [{ ...intent.http, intent: intent.name }] : []),
    grants: services.map(service => ({ role: `tenfold_${service}`, schema: service })),
    databases: [{ name: 'primary', services, buckets: [0, bucketCount - 1] }],
  }
}

/** What this topology cannot keep; empty when all is well. */
export function checkTopology(app: Application, topology: Topology): string[] {
  const faults: string[] = []
  const services = new Set(app.services.map(one => one.name))
  const processes = Object.entries(topology.processes)
  const run = new Set<string>()
  for (const [name, process] of processes) {
    for (const service of process.runs === 'everything' ? services : process.runs) {
      run.add(service)
      if (!services.has(service)) faults.push(`processes.${name} runs '${service}', which the application does not have; it has ${[...services].join(', ')}`)
    }
    if (!Number.isInteger(process.replicas) || process.replicas < 1) faults.push(`processes.${name}.replicas is ${process.replicas}; write a whole number of at least 1`)
  }
  for (const service of services) if (!run.has(service)) faults.push(`no process runs '${service}'; add it to a process`)
  const replicas = processes.reduce((sum, [, process]) => sum + process.replicas, 0)
  if (processes.length > 1 && processes.some(([, process]) => process.runs !== 'everything')) {
    faults.push(`processes ${processes.map(([name]) => name).join(', ')} split the services, but the transport '${topology.ports.transport.driver}' stays within one process (I7); let every process run 'everything' or choose a transport over the network`)
  }
  if (replicas > 1 && topology.ports.cache.driver === 'memory' && topology.ports.broadcast.driver === 'memory') {
    faults.push(`${replicas} processes with a cache in each and no invalidation between them would go on showing old data (I5, I10); run one process, or set ports.broadcast to { driver: 'postgres' }, or ports.cache to { driver: 'none' }`)
  }
  return faults
}
