/**
 * What a step would bring: how many times as quick requests get while the same number of them
 * is under way, as an interval. By mean value analysis of a closed network: event loops and the
 * database's processors are queues, every other wait is a delay, and a pool lets through no
 * more than its connections.
 */
import type { Part } from './attribution.ts'
import { busiest, othersShare } from './attribution.ts'
import type { Evidence } from './evidence.ts'

export type Interval = readonly [least: number, most: number]

/** What is left of each part, as a share: at least and at most. */
export interface Change {
  left(part: Part): Interval
  /** Processes that answer requests, and connections of pools, besides those that are there. */
  readonly processes?: number
  readonly connections?: number
}

/**
 * Demands are measured too high where there is little to do: what a process does anyway counts as well, and they fall when
 * there is more to do at a time. Of a loop that is busy; of one that is idle (Conduit's writes: 1 ms each at 97 a second, 0.35 at 2,857).
 */
const demandLeft = { busy: 0.65, idle: 0.35 }
/** A loop at work for so much of the time is busy. */
const busyLoop = 0.5
/** A process that is more brings work of its own to the processors, and connections do not spread evenly: of what is free it turns at least so much into answers (0.96 free cores brought 1.29 times). */
const processLeast = 0.4
/** What is not in the model: widens both ends. */
const unfeltMs = 1
const leastMs = 0.05
const slack = { least: 0.8, most: 1.25 }

/** Without a step: so much do two measurements of the same differ, and a millisecond is felt by nobody. */
export const asItIs = (ms: number): Interval => [Math.min(slack.least, ms / (ms + unfeltMs)), Math.max(slack.most, ms / Math.max(ms - unfeltMs, ms / 10))]
export const unchanged: Interval = [1, 1]

/** Milliseconds of a request, without the want of processors that others have. */
export const netMs = (evidence: Evidence, parts: readonly Part[]): number =>
  parts.reduce((sum, one) => one.resource === 'machine' ? sum : sum + one.requests, 0) / evidence.requests.perSecond * 1_000

export function gainOf(evidence: Evidence, parts: readonly Part[], change: Change): Interval {
  const now = netMs(evidence, parts)
  const least = now / Math.max(0.01, msAfter(evidence, parts, change, 1)) * slack.least
  const most = now / Math.max(0.01, msAfter(evidence, parts, change, 0)) * slack.most
  return [Math.max(slack.least, least), Math.max(1, most)]
}

/** `end`: 0 for the best that can be hoped for, 1 for the least. */
function msAfter(evidence: Evidence, parts: readonly Part[], change: Change, end: 0 | 1): number {
  const { requests, cores } = evidence
  const perSecond = requests.perSecond
  const own = parts.filter(one => one.resource !== 'machine')
  const underWay = own.reduce((sum, one) => sum + one.requests, 0)
  const ms = (mean: number) => mean / perSecond * 1_000
  const leftOf = (resource: Part['resource']) => {
    const same = own.filter(one => one.resource === resource)
    const before = same.reduce((sum, one) => sum + one.requests, 0)
    return before > 0 ? same.reduce((sum, one) => sum + one.requests * change.left(one)[end], 0) / before : 1
  }
  const answering = evidence.processes.filter(one => one.answersRequests).length
  const scale = end === 0 ? demandLeftOf(evidence) : 1
  const stations = [
    { ms: ms(loopService(evidence)) * leftOf('event-loop') * scale, servers: answering + (change.processes ?? 0) * (end === 0 ? 1 : processLeast) },
    { ms: ms(evidence.databaseCpu ?? 0) * leftOf('database') * scale, servers: cores },
  ]
  const delayMs = own.reduce((sum, part) => part.resource === 'event-loop' || part.resource === 'database' ? sum : sum + ms(part.requests) * change.left(part)[end], 0)
  // At the least the queues stay as long as they were seen, whatever the model makes of them.
  const seenMs = end === 0 || change.processes ? 0 : own.reduce((sum, part) => sum + ms(part.requests) * change.left(part)[end], 0)
  return Math.max(closed(underWay, stations, delayMs), seenMs, poolBound(evidence, parts, change, end))
}

function demandLeftOf(evidence: Evidence): number {
  const share = Math.min(1, (busiest(evidence)?.loop ?? 0) / busyLoop)
  return demandLeft.idle + share * (demandLeft.busy - demandLeft.idle)
}

/** Loops at work on average, without waiting for processors that others have. */
function loopService(evidence: Evidence): number {
  const others = othersShare(evidence)
  return evidence.processes.filter(one => one.answersRequests).reduce((sum, one) => sum + Math.max(Math.min(one.cpu, one.loop), one.loop - one.cpuWait * others), 0)
}

/** Mean time in a closed network; several servers are a faster one and a delay (Seidmann). */
function closed(customers: number, stations: readonly { readonly ms: number; readonly servers: number }[], delayMs: number): number {
  const queues = stations.map(({ ms, servers }) => ({ ms: ms / servers, restMs: ms * (servers - 1) / servers, length: 0 }))
  const fixedMs = delayMs + queues.reduce((sum, one) => sum + one.restMs, 0)
  let total = 0
  for (let count = 1; count <= Math.max(1, Math.round(customers)); count++) {
    const times = queues.map(one => one.ms * (1 + one.length))
    total = Math.max(leastMs, fixedMs + times.reduce((sum, one) => sum + one, 0))
    for (const [index, queue] of queues.entries()) queue.length = count / total * times[index]!
  }
  return total
}

/** A connection is held for so long by each transaction: more than there are cannot be held. What is waited for while it is held and goes, shortens that. */
function poolBound(evidence: Evidence, parts: readonly Part[], change: Change, end: 0 | 1): number {
  const pool = evidence.pools.filter(one => one.pool === 'write' && one.service !== 'tenfold').sort((a, b) => b.used / b.max - a.used / a.max)[0]
  if (!pool || pool.used === 0) return 0
  const doing = evidence.activity?.services.find(one => one.service === pool.service)?.doing
  const left = (resource: Part['resource']) => {
    const part = parts.find(one => one.resource === resource)
    return part ? change.left(part)[end] : 1
  }
  const freed = doing ? doing.lock * (1 - left('locks')) + doing.log * (1 - left('log')) + doing.cpu * (1 - left('database')) : 0
  const held = Math.max(0.05 * pool.used, pool.used - freed) * (end === 0 ? demandLeft.busy : 1)
  const underWay = parts.reduce((sum, one) => one.resource === 'machine' ? sum : sum + one.requests, 0)
  return underWay * held / evidence.requests.perSecond * 1_000 / (pool.max + (change.connections ?? 0))
}

/** Cores that nobody uses. */
export const coresFree = ({ cores, machineCpu }: Evidence): number => Math.max(0, cores - (machineCpu ?? cores))

export const isLoopFull = (evidence: Evidence): boolean => (busiest(evidence)?.loop ?? 0) >= 0.8
