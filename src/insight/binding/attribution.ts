/**
 * Shares out the requests that are under way, on average, among the resources at which they
 * are. The runtime says where its requests wait; the database says what its connections do
 * meanwhile; a queue for connections belongs to what those who hold them wait for. What could
 * run and has no processor because other programs have them all is a part of its own: on a
 * machine that is shared it would hide what the deployment itself waits for.
 */
import type { Doing } from '../../ports/measurements.ts'
import type { Place } from '../../base/place.ts'
import type { Doings, Evidence, PoolEvidence } from './evidence.ts'

export type Resource = 'event-loop' | 'database' | 'pool' | 'locks' | 'log' | 'data' | 'pause' | 'read-models' | 'outside' | 'machine'

export interface Part {
  readonly resource: Resource
  /** Which one, where there are several. */
  readonly at: string
  /** Requests there, on average. */
  readonly requests: number
  /** Others that are blamed at first sight, and why they only wait for this one. */
  readonly passedOn: readonly string[]
}

export interface Attribution {
  readonly parts: readonly Part[]
  /** Where nobody can say: what makes the sum incomplete. */
  readonly unattributed: number
}

/** From this share of what holders do on, they are the ones that wait. */
const holdersShare = 0.4
/** A loop that is never idle keeps waiting whoever is its own. */
const alwaysBusy = 0.95
const visitsBeside = 2
const fullMachine = 0.8
/** Of what the database was asked for, at most so much is missed by looking now and then. */
const missedMax = 0.4
/** Connections that the server sees less busy than this are not what statements wait for. */
const readersBusy = 0.6
/** The delay of a timer is a mean over all moments; requests come in batches, and find more. */
const delayTimes = 2

const atServer: readonly Doing[] = ['cpu', 'lock', 'log', 'data', 'pause', 'other']
const resourceOf: Readonly<Record<Doing, Resource>> = { cpu: 'database', lock: 'locks', log: 'log', data: 'data', pause: 'pause', other: 'database', client: 'event-loop' }

export function attribute(evidence: Evidence): Attribution {
  const found = new Map<string, { -readonly [Key in keyof Part]: Part[Key] }>()
  const add = (resource: Resource, at: string, requests: number, passedOn?: string) => {
    if (requests <= 0) return
    const part = found.get(resource + at) ?? { resource, at, requests: 0, passedOn: [] }
    found.set(resource + at, { ...part, requests: part.requests + requests, passedOn: passedOn ? [...part.passedOn, passedOn] : part.passedOn })
  }
  const at = (place: Place) => evidence.intents.reduce((sum, one) => sum + (one.at[place] ?? 0), 0)
  const underWay = evidence.requests.perSecond * evidence.requests.meanMs / 1_000
  const ingress = Math.max(0, underWay - (['own', 'pool', 'statement', 'commit', 'read-models', 'broadcast', 'cache'] as const).reduce((sum, place) => sum + at(place), 0))
  const doings = sumOf(evidence.activity?.services.map(one => one.doing) ?? [])
  const seen = atServer.reduce((sum, doing) => sum + doings[doing], 0)
  const asked = at('statement') + at('commit') + at('broadcast')
  const capacity = capacityOf(evidence)
  const queued = evidence.activity ? queueForReaders(evidence, asked - Math.min(asked, seen), add) : 0
  const loopOwn = at('own') + ingress
  // What was not seen at the server has been answered and waits for the loop, as far as that is so late; the rest was missed by looking now and then.
  const late = Math.min(asked - Math.min(asked, seen) - queued, Math.max(0, capacity - loopOwn))
  const answered = evidence.activity ? Math.min(asked - queued - late, seen + missedMax * asked) : asked
  for (const doing of atServer) add(resourceOf[doing], '', evidence.activity ? answered * doings[doing] / Math.max(seen, 1e-9) : doing === 'cpu' ? answered : 0)
  add('read-models', '', at('read-models'))
  for (const pool of waitedFor(evidence, 'write')) blame(evidence, pool, at('pool') * pool.part, add)
  // What the database has answered, or has not been asked: the loop has to turn to it.
  const loop = loopOwn + (evidence.activity ? asked - answered - queued : 0)
  const atLoop = Math.min(loop, capacity)
  add('event-loop', busiest(evidence)?.process ?? '', atLoop)
  const outside = Math.min(loop - atLoop, at('own'))
  add('outside', slowest(evidence), outside)
  const parts = withoutProcessor(evidence, scaled([...found.values()], at('cache')))
  return { parts: parts.sort((a, b) => b.requests - a.requests), unattributed: loop - atLoop - outside }
}

type Add = (resource: Resource, at: string, requests: number, passedOn?: string) => void

/** Statements sent behind others on the same connection; on a loop that is never idle they only wait to be noticed. */
function queueForReaders(evidence: Evidence, unseen: number, add: Add): number {
  if ((busiest(evidence)?.loop ?? 0) >= alwaysBusy) return 0
  const pools = waitedFor(evidence, 'read').filter(({ pool }) => {
    const doing = evidence.activity?.services.find(one => one.service === pool.service)?.doing
    return doing !== undefined && atServer.reduce((sum, what) => sum + doing[what], 0) >= readersBusy * pool.max
  })
  const queued = Math.min(unseen, pools.reduce((sum, one) => sum + one.pool.waiting, 0))
  for (const pool of pools) blame(evidence, pool, queued * pool.part, add)
  return queued
}

interface WaitedFor { readonly pool: PoolEvidence; readonly part: number }

function waitedFor({ pools }: Evidence, kind: string): WaitedFor[] {
  const found = pools.filter(one => one.pool === kind && one.service !== 'tenfold')
  const waiting = found.reduce((sum, one) => sum + one.waiting, 0)
  // A wait too short to be seen when somebody looked: of the pool that is used most.
  if (waiting === 0) return found.sort((a, b) => b.used / b.max - a.used / a.max).slice(0, 1).map(pool => ({ pool, part: 1 }))
  return found.map(pool => ({ pool, part: pool.waiting / waiting }))
}

/** A queue for connections is the queue for what their holders wait for, where that is something else than the pool. */
function blame(evidence: Evidence, { pool }: WaitedFor, requests: number, add: Add): void {
  const doing = evidence.activity?.services.find(one => one.service === pool.service)?.doing
  const held = doing ? Object.values(doing).reduce((sum, one) => sum + one, 0) : 0
  const share = (what: Doing) => doing && held > 0 ? doing[what] / held : 0
  const name = `the ${pool.pool} pool of ${pool.service}`
  if (share('lock') >= holdersShare) return add('locks', '', requests, `${name} is full, but ${percent(share('lock'))} of those who hold a connection wait for a lock`)
  if (share('log') >= holdersShare) return add('log', '', requests, `${name} is full, but ${percent(share('log'))} of those who hold a connection wait for the log to be written`)
  if (share('cpu') >= holdersShare && isDatabaseShort(evidence)) return add('database', '', requests, `${name} is full, but ${percent(share('cpu'))} of those who hold a connection compute, and the processors are taken`)
  if (share('client') >= holdersShare && (busiest(evidence)?.loop ?? 0) >= alwaysBusy) return add('event-loop', busiest(evidence)!.process, requests, `${name} is full, but its holders wait for the event loop`)
  add('pool', `${pool.service} ${pool.pool}`, requests)
}

/** More connections would only wait for processors. */
function isDatabaseShort({ databaseCpu, databaseCpuWait, cores }: Evidence): boolean {
  const [cpu, wait] = [databaseCpu ?? 0, databaseCpuWait ?? 0]
  return cpu + wait >= 0.9 * cores || wait >= 0.5 * cpu
}

/** So many requests can be at the loops: in service, and for each turn as late as a timer is. */
function capacityOf(evidence: Evidence): number {
  const { requests, processes, statements } = evidence
  const answering = processes.filter(one => one.answersRequests)
  if (answering.some(one => one.loop >= alwaysBusy)) return Infinity
  const turns = visitsBeside + (requests.perSecond > 0 ? statements.reduce((sum, one) => sum + one.perSecond, 0) / requests.perSecond : 0)
  const delayMs = answering.reduce((sum, one) => sum + one.loopDelayMs, 0) / Math.max(1, answering.length)
  return answering.reduce((sum, one) => sum + one.loop, 0) + delayTimes * turns * requests.perSecond * delayMs / 1_000
}

/** The process that answers requests with the busiest loop. */
export const busiest = ({ processes }: Evidence) => processes.filter(one => one.answersRequests).sort((a, b) => b.loop - a.loop)[0]

/** The intent with the most requests that are in its own hands. */
const slowest = ({ intents }: Evidence): string => [...intents].sort((a, b) => (b.at.own ?? 0) - (a.at.own ?? 0))[0]?.intent ?? ''

/** Who waits for the read of another waits for what that one waits for. */
function scaled(parts: readonly Part[], followers: number): Part[] {
  const total = parts.reduce((sum, one) => sum + one.requests, 0)
  return parts.map(one => ({ ...one, requests: one.requests * (total > 0 ? 1 + followers / total : 1) }))
}

/** Takes from the loop and the database what they wait for processors that other programs have. */
function withoutProcessor(evidence: Evidence, parts: readonly Part[]): Part[] {
  const others = othersShare(evidence)
  const loop = busiest(evidence)
  const [cpu, wait] = [evidence.databaseCpu ?? 0, evidence.databaseCpuWait ?? 0]
  const lost = { 'event-loop': loop && loop.loop > 0 ? Math.min(1, loop.cpuWait / loop.loop) : 0, database: cpu + wait > 0 ? wait / (cpu + wait) : 0 }
  const lostOf = ({ resource, requests }: Part) => resource === 'event-loop' || resource === 'database' ? requests * lost[resource] * others : 0
  const sum = parts.reduce((total, part) => total + lostOf(part), 0)
  return [...parts.map(part => ({ ...part, requests: part.requests - lostOf(part) })), ...sum > 0 ? [{ resource: 'machine' as const, at: '', requests: sum, passedOn: [] }] : []]
}

/** Cores that this deployment uses. */
export const coresUsed = ({ processes, databaseCpu }: Evidence): number => processes.reduce((sum, one) => sum + one.cpu, databaseCpu ?? 0)

/** Of what the machine does, the share that is not this deployment's; 0 while a processor is free. */
export function othersShare(evidence: Evidence): number {
  const { machineCpu, cores } = evidence
  if (machineCpu === null || machineCpu < fullMachine * cores) return 0
  return Math.max(0, 1 - coresUsed(evidence) / machineCpu)
}

function sumOf(all: readonly Doings[]): Record<Doing, number> {
  const sum = { cpu: 0, lock: 0, log: 0, data: 0, pause: 0, client: 0, other: 0 }
  for (const one of all) for (const doing of Object.keys(sum) as Doing[]) sum[doing] += one[doing]
  return sum
}

export const percent = (part: number): string => `${(part * 100).toFixed(0)} %`
