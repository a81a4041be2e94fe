/**
 * Names the one resource that binds: where most requests are, if it is saturated or waited
 * for. It has to add up first: requests under way, counted over time, are their rate times
 * their time (Little's law), within 5 %; else it is `unexplained`, with what does not add up.
 */
import { attribute, busiest, coresUsed, percent } from './attribution.ts'
import type { Attribution, Part, Resource } from './attribution.ts'
import type { Evidence } from './evidence.ts'

export type Verdict = Resource | 'generator' | 'none' | 'unexplained'

export interface RunnerUp {
  readonly resource: string
  readonly at: string
  readonly msPerRequest: number
  /** Why it is not this one. */
  readonly why: string
}

export interface Diagnosis {
  readonly verdict: Verdict
  /** Which one, where there are several. */
  readonly at: string
  readonly summary: string
  readonly evidence: readonly string[]
  readonly runnersUp: readonly RunnerUp[]
  /** Requests under way, as counted and as explained. */
  readonly little: { readonly counted: number; readonly explained: number }
  /** Milliseconds of a request, by resource. */
  readonly parts: readonly { readonly resource: Resource; readonly at: string; readonly msPerRequest: number }[]
}

export interface DiagnosisOptions {
  /** False: only utilisations are looked at. The negative control of the tests: it blames those who wait. */
  readonly waits?: boolean
}

/** Little's law has to close so far. */
export const tolerance = 0.05
const requestsMin = 30
/** A resource where fewer of the requests are does not bind. */
const shareMin = 0.3
const waitMsMin = 5
const computeMsMin = 10
const saturated = 0.8
const generatorBusy = 0.9

export function diagnose(evidence: Evidence, { waits = true }: DiagnosisOptions = {}): Diagnosis {
  const { requests, seconds } = evidence
  if (requests.perSecond * seconds < requestsMin) return unexplained(evidence, `too few requests: ${Math.round(requests.perSecond * seconds)} in ${seconds.toFixed(1)} s, and ${requestsMin} are needed`)
  if (!waits) return byUtilisation(evidence)
  const attribution = attribute(evidence)
  const explained = requests.perSecond * requests.meanMs / 1_000 - attribution.unattributed
  const counted = requests.inFlight
  const asBound = generatorBinds(evidence)
  if (asBound) return { ...told(evidence, attribution, 'generator', ''), summary: asBound }
  if (Math.abs(counted - explained) > tolerance * counted) {
    return { ...unexplained(evidence, attribution.unattributed > tolerance * counted
      ? `${attribution.unattributed.toFixed(2)} of ${counted.toFixed(2)} requests under way are at no place that is measured: are traces off?`
      : `${counted.toFixed(2)} requests are under way, but rate times time makes ${explained.toFixed(2)}: it was not steady; watch longer`), little: { counted, explained } }
  }
  const own = attribution.parts.filter(one => one.resource !== 'machine')
  const sum = own.reduce((total, one) => total + one.requests, 0)
  const first = own.find(part => isSignificant(evidence, part, sum)) ?? attribution.parts.find(one => one.resource === 'machine' && one.requests > sum && msOf(evidence, one.requests) >= computeMsMin)
  return first ? told(evidence, attribution, first.resource, first.at) : told(evidence, attribution, 'none', '')
}

/** True when there was enough and it adds up; else a longer look may tell. */
export function isSteady({ requests, seconds }: Evidence): boolean {
  return requests.perSecond * seconds >= requestsMin && Math.abs(requests.inFlight - requests.perSecond * requests.meanMs / 1_000) <= tolerance * requests.inFlight
}

const msOf = ({ requests }: Evidence, mean: number): number => mean / requests.perSecond * 1_000

/** `sum`: of all parts that are the deployment's own. */
function isSignificant(evidence: Evidence, { resource, requests }: Part, sum: number): boolean {
  if (requests < shareMin * sum) return false
  const ms = msOf(evidence, requests)
  if (resource === 'event-loop') return (busiest(evidence)?.loop ?? 0) >= saturated
  if (resource === 'database') return ms >= computeMsMin || (evidence.databaseCpu ?? 0) >= saturated * evidence.cores
  return ms >= waitMsMin
}

function generatorBinds({ generator, requests }: Evidence): string | null {
  if (!generator || generator.loop < generatorBusy || requests.inFlight > Math.max(1, generator.inFlight) / 2) return null
  return `the load generator is ${percent(generator.loop)} busy and the deployment has ${requests.inFlight.toFixed(2)} requests at a time: what was measured is the generator`
}

const names: Readonly<Record<Verdict, string>> = {
  generator: 'the load generator', machine: 'want of a processor, for other programs have them,', none: 'nothing', unexplained: 'unexplained',
  'event-loop': 'the event loop', database: 'computing in the database', pool: 'connections to the database', locks: 'locks in the database', log: 'writing the log of the database',
  data: 'reading from disk', pause: 'statements that pause', 'read-models': 'read models that are behind', outside: 'something outside that Tenfold does not see',
}

export const nameOf = (verdict: Verdict, at: string): string => at === '' ? names[verdict] : `${names[verdict]} (${at})`

function told(evidence: Evidence, attribution: Attribution, verdict: Verdict, at: string): Diagnosis {
  const { requests } = evidence
  const own = attribution.parts.find(one => one.resource === verdict && one.at === at)
  return {
    verdict, at,
    summary: verdict === 'none' ? `nothing binds: a request takes ${requests.meanMs.toFixed(1)} ms, and no resource is saturated or waited for`
      : `${nameOf(verdict, at)} binds: ${msOf(evidence, own?.requests ?? 0).toFixed(1)} of the ${requests.meanMs.toFixed(1)} ms of a request`,
    evidence: [...lawLines(evidence), ...linesOf(evidence, verdict, at), ...own?.passedOn ?? []],
    runnersUp: attribution.parts.filter(one => one !== own).slice(0, 4).map(one => ({ resource: one.resource, at: one.at, msPerRequest: msOf(evidence, one.requests), why: whyNot(evidence, one, own) })),
    little: { counted: requests.inFlight, explained: requests.perSecond * requests.meanMs / 1_000 - attribution.unattributed },
    parts: attribution.parts.map(one => ({ resource: one.resource, at: one.at, msPerRequest: msOf(evidence, one.requests) })),
  }
}

function lawLines({ requests, seconds }: Evidence): string[] {
  const explained = requests.perSecond * requests.meanMs / 1_000
  return [`${requests.perSecond.toFixed(1)} requests/s of ${requests.meanMs.toFixed(1)} ms make ${explained.toFixed(2)} under way; ${requests.inFlight.toFixed(2)} were counted in ${seconds.toFixed(1)} s (Little's law)`]
}

function linesOf(evidence: Evidence, verdict: Verdict, at: string): string[] {
  const { activity, databaseCpu, cores, pools, statements, processes } = evidence
  switch (verdict) {
    case 'event-loop': return processes.filter(one => one.process === at).map(one => `the loop of ${one.process} is ${percent(one.loop)} busy, with ${one.cpu.toFixed(2)} cores; a timer runs ${one.loopDelayMs.toFixed(0)} ms late`)
    case 'database': return [
      ...databaseCpu === null ? [] : [`the database uses ${databaseCpu.toFixed(2)} of ${cores} cores, and would use ${(evidence.databaseCpuWait ?? 0).toFixed(2)} more if they were free`],
      ...statements.slice(0, 2).map(one => `${one.perSecond.toFixed(1)}/s of ${one.meanMs.toFixed(1)} ms: ${short(one.text)}`),
    ]
    case 'locks': return (activity?.holders ?? []).slice(0, 3).map(({ who, isIntent, doing, mean }) => `${isIntent ? `the intent ${who}` : `the program '${who}'`} holds what others wait for, ${percent(mean)} of the time; meanwhile: ${doing}`)
    case 'pool': return pools.filter(one => `${one.service} ${one.pool}` === at).map(one => `${one.used.toFixed(1)} of ${one.max} connections are in use, ${one.waiting.toFixed(1)} requests wait for one`)
    case 'machine': return [`the machine uses ${(evidence.machineCpu ?? 0).toFixed(2)} of ${cores} cores, this deployment ${coresUsed(evidence).toFixed(2)}`]
    case 'outside': return [`the handler of ${at} waits, while the event loop is ${percent(busiest(evidence)?.loop ?? 0)} busy and the database has not been asked`]
    default: return []
  }
}

function whyNot(evidence: Evidence, part: Part, first: Part | undefined): string {
  const share = part.requests / evidence.requests.inFlight
  if (part.resource === 'event-loop' && (busiest(evidence)?.loop ?? 0) < saturated) return `the loop is ${percent(busiest(evidence)?.loop ?? 0)} busy: it has time left`
  if (first) return `${percent(share)} of the requests are there, and ${percent(first.requests / evidence.requests.inFlight)} at ${nameOf(first.resource, first.at)}`
  return `${msOf(evidence, part.requests).toFixed(1)} ms are not worth a step`
}

const short = (text: string): string => text.replace(/\s+/g, ' ').trim().slice(0, 120)

function unexplained(evidence: Evidence, why: string): Diagnosis {
  const { requests } = evidence
  return { verdict: 'unexplained', at: '', summary: `unexplained: ${why}`, evidence: [], runnersUp: [], little: { counted: requests.inFlight, explained: requests.perSecond * requests.meanMs / 1_000 }, parts: [] }
}

/** As one would without waits: the most used is blamed. */
function byUtilisation(evidence: Evidence): Diagnosis {
  const candidates: { verdict: Verdict; at: string; share: number }[] = [
    ...evidence.processes.filter(one => one.answersRequests).map(one => ({ verdict: 'event-loop' as const, at: one.process, share: one.loop })),
    ...evidence.pools.filter(one => one.service !== 'tenfold').map(one => ({ verdict: 'pool' as const, at: `${one.service} ${one.pool}`, share: one.used / one.max })),
    { verdict: 'database', at: '', share: (evidence.databaseCpu ?? 0) / evidence.cores },
  ]
  const [first] = candidates.sort((a, b) => b.share - a.share)
  return { ...unexplained(evidence, ''), verdict: first!.verdict, at: first!.at, summary: `${nameOf(first!.verdict, first!.at)}: ${percent(first!.share)} in use` }
}
