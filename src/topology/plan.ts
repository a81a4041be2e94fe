/**
 * An application and a topology make a plan: pure data about processes, listeners, routes
 * and grants, that orchestrators and ingress render. `checkTopology` refuses a topology
 * whose drivers cannot keep the invariants (I10), with the mend in the message.
 */
import { cpuCoresMin } from '../base/cpu-quota.ts'
import { bucketCount } from '../base/id.ts'
import { credentialsOf } from '../model/app.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import { manifestOf } from '../model/manifest.ts'
import type { Manifest } from '../model/manifest.ts'
import type { Query } from '../model/query.ts'
import type { DatabaseTopology, Ports, ProcessTopology, Role, Scale, Topology } from './topology.ts'

export interface PlannedProcess {
  readonly name: string
  readonly does: Role
  /** At the start, when it is scaled. */
  readonly replicas: number
  readonly scale: Required<Scale> | null
  /** The most cores that each may use; null where nothing limits them. */
  readonly cpu: number | null
  readonly services: readonly string[]
}

export interface Plan {
  readonly application: string
  readonly topology: string
  readonly processes: readonly PlannedProcess[]
  /** All replicas together: what shares the database's connections. One more runs while they are restarted. */
  readonly processCount: number
  /** `credentials`: the request headers that say who calls. `mounts`: the prefixes of applications that are not Tenfold's. */
  readonly listener: { readonly driver: string; readonly port: number; readonly corsOrigins: readonly string[]; readonly credentials: readonly string[]; readonly mounts: readonly string[] }
  readonly routes: readonly { readonly method: string; readonly path: string; readonly intent: string }[]
  /** What reads the log of events, by name, with the events it reacts to; null for all jobs. */
  readonly consumers: readonly { readonly name: string; readonly on: readonly string[] | null }[]
  /** Which role may use which schema. */
  readonly grants: readonly { readonly role: string; readonly schema: string }[]
  readonly databases: readonly { readonly name: string; readonly services: readonly string[]; readonly buckets: readonly [number, number]; readonly replicas: number }[]
}

const standardTarget = 0.6
/** The most there may be, or the least. */
const countOf = (replicas: ProcessTopology['replicas'], cores: number, bound: 'min' | 'max' = 'max'): number =>
  replicas === 'cores' ? cores : typeof replicas === 'number' ? replicas : replicas[bound]
const scaleOf = (replicas: ProcessTopology['replicas']): Required<Scale> | null => typeof replicas === 'object' ? { target: standardTarget, ...replicas } : null

/** The most that may run at once; what they share is shared among so many. */
export const processCountOf = ({ processes }: Topology, cores: number, isCounted = (_: ProcessTopology) => true): number =>
  Object.values(processes).filter(isCounted).reduce((sum, { replicas }) => sum + countOf(replicas, cores), 0)

/** How many are started at first. */
export const firstProcessCountOf = ({ processes }: Topology, cores: number): number =>
  Object.values(processes).reduce((sum, { replicas }) => sum + countOf(replicas, cores, 'min'), 0)

export function planOf(app: Application, name: string, topology: Topology, cores: number): Plan {
  const manifest = manifestOf(app)
  const services = manifest.services
  const processes = Object.entries(topology.processes).map(([process, { runs, does, replicas, cpu }]) => ({
    name: process, does, replicas: countOf(replicas, cores, 'min'), scale: scaleOf(replicas), cpu: cpu ?? null, services: runs === 'everything' ? services : runs,
  }))
  return {
    application: app.name,
    topology: name,
    processes,
    processCount: processCountOf(topology, cores),
    listener: { driver: topology.ports.ingress.driver, port: topology.ports.ingress.port, corsOrigins: app.options.corsOrigins ?? [], credentials: credentialsOf(app), mounts: Object.keys(app.options.mounts ?? {}) },
    routes: manifest.intents.flatMap(intent => intent.http ? [{ ...intent.http, intent: intent.name }] : []),
    consumers: consumersOf(manifest, topology),
    grants: services.map(service => ({ role: `tenfold_${service}`, schema: service })),
    databases: [{ name: 'primary', services, buckets: [0, bucketCount - 1], replicas: replicaCountOf(topology.ports.database) }],
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
    faults.push(...replicaFaults(name, process.replicas), ...cpuFaults(`processes.${name}`, process.cpu))
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
  faults.push(...brokerFaults(topology.ports))
  const { connections } = topology.ports.database
  for (const kind of ['read', 'write'] as const) {
    const count = connections?.[kind] ?? 1
    if (!Number.isInteger(count) || count < 1) faults.push(`ports.database.connections.${kind} is ${JSON.stringify(count)}; write a whole number of at least 1`)
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
  return [...faults, ...replicationFaults(topology.ports.database)]
}

/** Those that the topology names; a url from the environment may name more. */
export const replicaCountOf = (database: DatabaseTopology): number => ('embedded' in database ? database.replicas : database.replicaUrls?.length) ?? 0

const replicasMax = 8

function replicationFaults(database: DatabaseTopology): string[] {
  if (!('embedded' in database)) {
    const stray = ['replicas', 'synchronous', 'cpu'].filter(name => name in database)
    return stray.map(name => `ports.database.${name} is for the embedded server; name the other servers in ports.database.replicaUrls`)
  }
  const { replicas = 0, synchronous = 0, cpu } = database
  const faults = cpuFaults('ports.database', cpu)
  if ('replicaUrls' in database) faults.push('ports.database.replicaUrls goes with a url; the embedded server makes its own: write replicas, a number')
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > replicasMax) faults.push(`ports.database.replicas is ${replicas}; write a whole number from 0 to ${replicasMax}`)
  else if (!Number.isInteger(synchronous) || synchronous < 0 || synchronous > replicas) faults.push(`ports.database.synchronous is ${synchronous}; write a whole number from 0 to ${replicas}, the number of replicas: a commit waits for so many`)
  else if (replicas > 0 && database.synchronous === undefined) faults.push('ports.database.replicas needs ports.database.synchronous: 1, so that a replica can take over without losing what was acknowledged, or 0, so that no commit waits and none takes over')
  return faults
}

function replicaFaults(name: string, replicas: ProcessTopology['replicas']): string[] {
  if (replicas === 'cores') return []
  const isCount = (value: unknown) => Number.isInteger(value) && (value as number) >= 1
  if (typeof replicas !== 'object') return isCount(replicas) ? [] : [`processes.${name}.replicas is ${replicas}; write a whole number of at least 1, 'cores', or { min, max }`]
  const { min, max, target = standardTarget } = replicas
  return [
    ...isCount(min) && isCount(max) && min <= max ? [] : [`processes.${name}.replicas goes from ${min} to ${max}; write whole numbers of at least 1, min no larger than max`],
    ...target > 0 && target <= 1 ? [] : [`processes.${name}.replicas.target is ${target}; write a share of a process above 0 and at most 1`],
  ]
}

const cpuFaults = (what: string, cpu = cpuCoresMin): string[] =>
  cpu >= cpuCoresMin && Number.isFinite(cpu) ? [] : [`${what}.cpu is ${cpu}; write a number of cores of at least ${cpuCoresMin}, or leave it out`]

/** True when something is to be shut in a cgroup. */
export const limitsCpu = ({ processes, ports: { database } }: Topology): boolean =>
  ('embedded' in database && database.cpu !== undefined) || Object.values(processes).some(({ cpu }) => cpu !== undefined)

function brokerFaults({ broker, queue, bus }: Ports): string[] {
  const on = [...queue.driver === 'nats' ? ['queue'] : [], ...bus.driver === 'nats' ? ['bus'] : []]
  if (!broker) return on.map(port => `ports.${port} is on NATS, and there is no broker; set ports.broker to { driver: 'nats', embedded: true, nodes: 1 }, or to the url of one that is there`)
  const faults = on.length === 0 ? [`a broker is there for nobody; leave ports.broker out, or set ports.bus or ports.queue to the driver 'nats'`] : []
  if (bus.driver !== 'nats') return faults
  if (!Number.isInteger(bus.partitions) || bus.partitions < 1 || bus.partitions > partitionsMax) faults.push(`ports.bus.partitions is ${bus.partitions}; write a whole number from 1 to ${partitionsMax}`)
  if (!(bus.bytesMax >= busBytesMin)) faults.push(`ports.bus.bytesMax is ${bus.bytesMax}; write at least ${busBytesMin}, room for the largest batch`)
  return faults
}

const partitionsMax = 64
const busBytesMin = 1_048_576
const roles: readonly Role[] = ['everything', 'requests', 'background']

function missingRoles(processes: readonly (readonly [string, ProcessTopology])[]): string[] {
  const does = (role: Role) => processes.some(([, process]) => process.does === role || process.does === 'everything')
  return [
    ...does('requests') ? [] : ['no process answers requests; add one that does \'requests\' or \'everything\''],
    ...does('background') ? [] : ['no process delivers events and runs jobs, so they would wait for ever; add one that does \'background\' or \'everything\''],
  ]
}
