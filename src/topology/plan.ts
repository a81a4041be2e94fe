/**
 * An application and a topology make a plan: pure data about processes, listeners, routes
 * and grants, that orchestrators and ingress render. `checkTopology` refuses a topology
 * whose drivers cannot keep the invariants (I10), with the mend in the message.
 */
import { bucketCount } from '../base/id.ts'
import { credentialsOf } from '../model/app.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import { manifestOf } from '../model/manifest.ts'
import type { Manifest } from '../model/manifest.ts'
import type { Query } from '../model/query.ts'
import type { ProcessTopology, Role, Topology } from './topology.ts'

export interface PlannedProcess {
  readonly name: string
  readonly does: Role
  readonly replicas: number
  readonly services: readonly string[]
}

export interface Plan {
  readonly application: string
  readonly topology: string
  readonly processes: readonly PlannedProcess[]
  /** All replicas together: what shares the database's connections. One more runs while they are restarted. */
  readonly processCount: number
  /** `credentials`: the request headers that say who calls. */
  readonly listener: { readonly driver: string; readonly port: number; readonly corsOrigins: readonly string[]; readonly credentials: readonly string[] }
  readonly routes: readonly { readonly method: string; readonly path: string; readonly intent: string }[]
  /** What reads the log of events, by name, with the events it reacts to; null for all jobs. */
  readonly consumers: readonly { readonly name: string; readonly on: readonly string[] | null }[]
  /** Which role may use which schema. */
  readonly grants: readonly { readonly role: string; readonly schema: string }[]
  readonly databases: readonly { readonly name: string; readonly services: readonly string[]; readonly buckets: readonly [number, number] }[]
}

const countOf = (replicas: ProcessTopology['replicas'], cores: number): number => replicas === 'cores' ? cores : replicas

export const processCountOf = ({ processes }: Topology, cores: number, isCounted = (_: ProcessTopology) => true): number =>
  Object.values(processes).filter(isCounted).reduce((sum, { replicas }) => sum + countOf(replicas, cores), 0)

export function planOf(app: Application, name: string, topology: Topology, cores: number): Plan {
  const manifest = manifestOf(app)
  const services = manifest.services
  const processes = Object.entries(topology.processes).map(([process, { runs, does, replicas }]) => ({
    name: process, does, replicas: countOf(replicas, cores), services: runs === 'everything' ? services : runs,
  }))
  return {
    application: app.name,
    topology: name,
    processes,
    processCount: processCountOf(topology, cores),
    listener: { driver: topology.ports.ingress.driver, port: topology.ports.ingress.port, corsOrigins: app.options.corsOrigins ?? [], credentials: credentialsOf(app) },
    routes: manifest.intents.flatMap(intent => intent.http ? [{ ...intent.http, intent: intent.name }] : []),
    consumers: consumersOf(manifest, topology),
    grants: services.map(service => ({ role: `tenfold_${service}`, schema: service })),
    databases: [{ name: 'primary', services, buckets: [0, bucketCount - 1] }],
  }
}

/** As the runtime names them: one per subscription and projection, the relay of jobs, and what repeats invalidations. */
function consumersOf({ intents }: Manifest, { ports }: Topology): Plan['consumers'] {
  const reacting = intents.filter(({ kind }) => kind === 'subscription' || kind === 'projection').map(({ name, on = [] }) => ({ name, on }))
  return [...reacting, { name: 'tenfold.jobs', on: null }, ...ports.cache.driver === 'none' ? [] : [{ name: 'tenfold.invalidation', on: [] }]]
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
    if (process.replicas !== 'cores' && (!Number.isInteger(process.replicas) || process.replicas < 1)) faults.push(`processes.${name}.replicas is ${process.replicas}; write a whole number of at least 1, or 'cores'`)
    if (!roles.includes(process.does)) faults.push(`processes.${name}.does is ${JSON.stringify(process.does)}; write one of ${roles.map(role => `'${role}'`).join(', ')}`)
  }
  for (const service of services) if (!run.has(service)) faults.push(`no process runs '${service}'; add it to a process`)
  faults.push(...missingRoles(processes))
  if (processes.length > 1 && processes.some(([, process]) => process.runs !== 'everything')) {
    faults.push(`processes ${processes.map(([name]) => name).join(', ')} split the services, but the transport '${topology.ports.transport.driver}' stays within one process (I7); let every process run 'everything' or choose a transport over the network`)
  }
  // 'cores' counts as several everywhere: a topology is not right on some machines only.
  const several = processes.length > 1 || processes.some(([, { replicas }]) => replicas !== 1)
  if (several && topology.ports.cache.driver !== 'none' && topology.ports.broadcast.driver === 'memory') {
    faults.push(`several processes with a cache in each and no invalidation between them would go on showing old data (I5, I10); run one process, or set ports.broadcast to { driver: 'postgres' }, or ports.cache to { driver: 'none' }`)
  }
  const rated = [...app.intents.values()].find(intent => (intent as Query | Command).definition?.rate)
  const answering = processes.filter(([, { does }]) => does !== 'background')
  if (rated && topology.ports.rate.driver === 'memory' && (answering.length > 1 || answering.some(([, { replicas }]) => replicas !== 1))) {
    faults.push(`${rated.name} has a rate, and several processes would each count for themselves (I10); let one process answer requests, or set ports.rate to { driver: 'postgres' }`)
  }
  const { redis, cache, rate } = topology.ports
  const onRedis = Object.entries({ cache, rate }).filter(([, { driver }]) => driver === 'redis').map(([port]) => `ports.${port}`)
  if (onRedis.length > 0 && !redis) {
    faults.push(`${onRedis.join(' and ')} ${onRedis.length > 1 ? 'are' : 'is'} on Redis, and the topology has none; set ports.redis to { embedded: true, memoryBytesMax: 268_435_456 }, or to { url: { env: 'REDIS_URL' } }`)
  }
  if (topology.ports.cdn.driver !== 'none' && topology.ports.cache.driver === 'none') {
    faults.push(`the CDN '${topology.ports.cdn.driver}' would keep what nothing invalidates: without a cache no tags are written down; set ports.cache to { driver: 'memory', bytesMax: … }, or ports.cdn to { driver: 'none' }`)
  }
  return faults
}

const roles: readonly Role[] = ['everything', 'requests', 'background']

function missingRoles(processes: readonly (readonly [string, ProcessTopology])[]): string[] {
  const does = (role: Role) => processes.some(([, process]) => process.does === role || process.does === 'everything')
  return [
    ...does('requests') ? [] : ['no process answers requests; add one that does \'requests\' or \'everything\''],
    ...does('background') ? [] : ['no process delivers events and runs jobs, so they would wait for ever; add one that does \'background\' or \'everything\''],
  ]
}
