/** The running topology as nodes and edges: who asks whom how much, in layers from the clients to the engines. */
import type { Plan, Topology } from './shapes.ts'
import type { BalancerSample, BrokerSample, ProcessSample, RedisSample, ReplicasSample, Sample } from '../../src/admin/sample.ts'
import { bytes, count, duration, number, percent, rate } from './format.ts'

export type Tone = 'good' | 'warn' | 'bad' | 'plain'
export interface MapNode {
  readonly id: string
  readonly layer: number
  readonly title: string
  readonly kind: string
  readonly tone: Tone
  readonly state: string
  readonly facts: readonly (readonly [label: string, value: string])[]
  /** What of it is near its limit. */
  readonly pressure: string | null
  readonly page?: string
}
export interface MapEdge {
  readonly from: string
  readonly to: string
  readonly perSecond: number | null
  /** In words, after the rate. */
  readonly what: string
}
export interface Graph { readonly nodes: readonly MapNode[]; readonly edges: readonly MapEdge[] }

const tones: Readonly<Record<string, Tone>> = { ready: 'good', starting: 'warn', draining: 'warn', 'backing-off': 'bad', stopped: 'bad' }
export const idOf = ({ name, replica }: Pick<ProcessSample, 'name' | 'replica'>): string => `${name} ${replica}`

export function graphOf(plan: Plan, topology: Topology, sample: Sample | null): Graph {
  const hasCdn = topology.ports.cdn.driver !== 'none'
  const processes = sample?.processes ?? plan.processes.flatMap(({ name, replicas, does }) =>
    Array.from({ length: replicas }, (_, replica): ProcessSample => ({ name, replica, does, pid: null, state: 'unknown', restarts: 0, startedAtMs: 0, use: null })))
  // While one is replaced there are two in its place: the one that stays is shown.
  const shown = [...new Map(processes.map(one => [idOf(one), one])).values()]
  const pressureAt = (id: string) => sample?.pressure?.at === id ? `${sample.pressure.resource} ${percent(sample.pressure.share)}` : null
  const nodes: MapNode[] = [
    { id: 'clients', layer: 0, title: 'Clients', kind: 'requests', tone: 'plain', state: '', pressure: null, page: 'intents', facts: [['rate', rate(sample?.http.perSecond ?? null)], ['failed', rate(sample?.http.failedPerSecond ?? null)]] },
    ...hasCdn ? [{ id: 'cdn', layer: 1, title: 'CDN', kind: topology.ports.cdn.driver, tone: 'plain', state: '', pressure: null, facts: [] } satisfies MapNode] : [],
    ingressNode(plan, topology, sample?.balancer ?? null),
    ...shown.map(one => processNode(one, pressureAt(idOf(one)))),
    ...engineNodes(topology, sample, pressureAt('postgres')),
  ]
  const answering = shown.filter(one => one.does !== 'background')
  const total = (of: (one: ProcessSample) => number) => sample ? answering.reduce((sum, one) => sum + of(one), 0) : null
  const incoming = total(one => one.use?.requestsPerSecond ?? 0)
  const edges: MapEdge[] = [
    ...hasCdn ? [{ from: 'clients', to: 'cdn', perSecond: null, what: 'requests to the CDN' }, { from: 'cdn', to: 'ingress', perSecond: incoming, what: 'requests to the ingress' }]
      : [{ from: 'clients', to: 'ingress', perSecond: incoming, what: 'requests to the ingress' }],
    ...answering.map(one => ({ from: 'ingress', to: idOf(one), perSecond: one.use?.requestsPerSecond ?? null, what: `requests to ${idOf(one)}` })),
    ...shown.map(one => ({ from: idOf(one), to: 'postgres', perSecond: one.use?.statementsPerSecond ?? null, what: 'statements to Postgres' })),
    ...(sample?.redis ?? []).filter(one => one.server === 'redis').flatMap(({ server }) => shown.map(one => ({ from: idOf(one), to: server, perSecond: one.use?.sharedLooksPerSecond ?? null, what: 'looks into the shared cache' }))),
    ...shown.filter(one => one.does !== 'requests').flatMap(one => [
      { from: idOf(one), to: 'events', perSecond: one.use?.eventsPerSecond ?? null, what: 'events handled' },
      { from: idOf(one), to: 'jobs', perSecond: one.use?.jobsPerSecond ?? null, what: 'jobs run' },
    ]),
  ]
  return { nodes, edges }
}

const fact = (label: string, value: string) => [label, value] as const

function ingressNode({ listener, routes }: Plan, { ports }: Topology, balancer: BalancerSample | null): MapNode {
  const node: MapNode = { id: 'ingress', layer: 1, title: 'Ingress', kind: ports.ingress.driver, tone: 'plain', state: '', pressure: null, page: 'api', facts: [fact('port', String(listener.port)), fact('routes', count(routes.length))] }
  if (!balancer) return node
  const { isUp, up, draining, down, ejected, waiting, repeatedPerSecond } = balancer
  const away = down + ejected
  return {
    ...node, title: 'HAProxy', kind: 'balancer', tone: !isUp ? 'bad' : away > 0 ? 'warn' : 'good', state: !isUp ? 'does not answer' : away > 0 ? `${away} away` : 'up',
    facts: [...node.facts, fact('nodes', isUp ? `${up} of ${up + draining + away}` : '–'), fact('waiting', isUp ? count(waiting) : '–'), fact('given again', isUp ? rate(repeatedPerSecond) : '–')],
  }
}

function processNode(process: ProcessSample, pressure: string | null): MapNode {
  const { state, does, use, restarts, startedAtMs } = process
  const roles: Readonly<Record<string, string>> = { everything: 'requests, events, jobs', requests: 'requests', background: 'events, jobs' }
  return {
    id: idOf(process), layer: 2, title: idOf(process), kind: roles[does] ?? does, tone: tones[state] ?? 'plain', state, pressure,
    facts: [
      ['event loop', percent(use?.loop ?? null)], ['CPU', use ? `${use.cpu.toFixed(2)} cores` : '–'], ['memory', bytes(use?.memoryBytes ?? null)],
      ...use && use.cacheBytesMax > 0 ? [['cache hits', percent(use.cacheHits)] as const] : [],
      ['in flight', use && does !== 'background' ? `${number(use.inFlight)} of ${number(use.inFlightMax)}` : '–'],
      [restarts > 0 ? `restarted ${restarts}×` : 'up', startedAtMs > 0 ? duration(Date.now() - startedAtMs) : '–'],
    ],
  }
}

function engineNodes({ ports }: Topology, sample: Sample | null, pressure: string | null): MapNode[] {
  const { postgres, consumers, queue } = sample ?? { postgres: null, consumers: null, queue: null }
  const sum = (of: (one: NonNullable<typeof consumers>[number]) => number) => consumers === null ? null : consumers.reduce((total, one) => total + of(one), 0)
  const lagMs = consumers === null ? null : Math.max(0, ...consumers.map(one => one.oldestMs))
  const dead = sum(one => one.dead)
  const engine = (id: string, title: string, kind: string, page: string, facts: MapNode['facts'], more: Partial<MapNode> = {}): MapNode =>
    ({ id, layer: 3, title, kind, tone: 'plain', state: '', pressure: null, page, facts, ...more })
  return [
    engine('postgres', 'Postgres', 'embedded' in ports.database ? 'database, embedded' : 'database', 'database', [
      ['connections', postgres ? `${postgres.connections} of ${postgres.connectionsMax}` : '–'], ['commits', rate(postgres?.commitsPerSecond ?? null)],
      ['cache hits', percent(postgres?.cacheHits ?? null)], ['size', bytes(postgres?.sizeBytes ?? null)],
    ], { pressure }),
    ...replicaNodes(sample?.replicas ?? null), ...(sample?.redis ?? []).map(redisNode),
    engine('events', 'Events', `bus, ${ports.bus.driver}`, 'backlog', [['waiting', count(sum(one => one.waiting))], ['lag', lagMs === null ? '–' : duration(lagMs)], ['dead letters', count(dead)]], dead ? { tone: 'bad', state: 'dead letters' } : {}),
    engine('jobs', 'Jobs', `queue, ${ports.queue.driver}`, 'backlog', [['waiting', count(queue?.waiting ?? null)], ['running', count(queue?.running ?? null)], ['dead', count(queue?.dead ?? null)]], queue?.dead ? { tone: 'bad', state: 'dead jobs' } : {}),
    ...sample?.broker ? [brokerNode(sample.broker)] : [],
  ]
}

function replicaNodes(told: ReplicasSample | null): MapNode[] {
  if (!told) return []
  const { replicas, confirming, awaited, readsPerSecond } = told
  const lacks = confirming < awaited
  return [
    { id: 'replicas', layer: 3, title: 'Replicas', kind: 'read by queries', page: 'database', pressure: null, tone: lacks ? 'bad' : 'good', state: lacks ? 'commits wait' : `${replicas.length} follow`, facts: [
      fact('reads', rate(readsPerSecond)), fact('confirm', `${confirming}, ${awaited} needed`), ...replicas.map(one => fact(one.name, `${bytes(one.lagBytes)}, ${duration(one.lagMs)}`)),
    ] },
  ]
}

function redisNode({ server, isUp, memoryBytes, memoryBytesMax, keys, hits, commandsPerSecond }: RedisSample): MapNode {
  return {
    id: server, layer: 3, title: 'Redis', kind: server === 'redis' ? 'shared cache, rates' : 'sessions', pressure: null, tone: isUp ? 'good' : 'bad', state: isUp ? 'up' : 'does not answer',
    facts: [fact('memory', `${bytes(memoryBytes)}${memoryBytes === null || memoryBytesMax === null ? '' : `, ${percent(memoryBytes / memoryBytesMax)}`}`), fact('keys', count(keys)), fact('found', percent(hits)), fact('commands', isUp ? rate(commandsPerSecond) : '–')],
  }
}

function brokerNode({ isUp, streams }: BrokerSample): MapNode {
  const missing = Math.max(0, ...streams.map(one => one.copiesMissing))
  return {
    id: 'broker', layer: 3, title: 'NATS', kind: 'broker', page: 'backlog', pressure: null, tone: !isUp ? 'bad' : missing > 0 ? 'warn' : 'good', state: !isUp ? 'does not answer' : missing > 0 ? `lacks ${missing}` : 'up',
    facts: streams.filter(one => one.name !== 'progress').map(one => fact(one.name, `${one.messages < 10_000 ? count(one.messages) : number(one.messages)}, ${bytes(one.bytes)}`)),
  }
}
