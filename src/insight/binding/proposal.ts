/** The one step that relieves the resource that binds, with what it would bring and how to take it. */
import { limits } from '../../base/limits.ts'
import type { Finding } from '../finding.ts'
import { attribute } from './attribution.ts'
import type { Part, Resource } from './attribution.ts'
import type { Configured } from './configured.ts'
import type { Diagnosis } from './diagnosis.ts'
import type { Evidence, GhostEvidence } from './evidence.ts'
import { asItIs, coresFree, gainOf, netMs, unchanged } from './gain.ts'
import type { Interval } from './gain.ts'

export type StepKind = 'add-index' | 'keep-answers' | 'add-process' | 'more-connections' | 'next-topology' | 'change-code' | 'change-machine' | 'nothing'

export interface Proposal {
  readonly kind: StepKind
  readonly text: string
  /** What to type or to write, where it is known. */
  readonly command: string | null
  /** Requests get so many times as quick, with as many under way. */
  readonly gain: Interval
  readonly why: readonly string[]
  /** By what it is seen, later, that the step was taken. */
  readonly target: { readonly index?: { readonly service: string; readonly table: string; readonly columns: readonly string[] }; readonly intent?: string; readonly pool?: string; readonly resource?: Resource }
  /** Milliseconds of a request when it was proposed, without the want of processors that others have. */
  readonly netMs: number
}

/** Below, answers are asked for once each. */
const hitsWorth = 0.3
const gainWorth = 1.15
const few: Interval = [0, 0.25]
/** What a change of the code leaves nobody knows. */
const half: Interval = [0, 0.5]
const standardCache = 67_108_864

export function propose(evidence: Evidence, diagnosis: Diagnosis, findings: readonly Finding[], configured: Configured): Proposal {
  const { parts } = attribute(evidence)
  const maker = new Maker(evidence, parts, configured)
  switch (diagnosis.verdict) {
    case 'database': return maker.index(findings) ?? maker.answers() ?? maker.code('database', `make the statement cheaper that takes most: ${statementOf(evidence)}`, { intent: evidence.statements[0]?.intents[0] ?? '' })
    case 'event-loop': return maker.forLoop(diagnosis.at)
    case 'pool': return maker.connections(diagnosis.at)
    case 'locks': return maker.locks()
    case 'log': return maker.machine('log', 'the disk takes long to write the log: a disk that flushes sooner (an SSD with a power-safe cache), or fewer and larger transactions')
    case 'data': return maker.machine('data', 'what is read does not fit into memory: a machine with more memory, or ports.database.settings: \'machine\'')
    case 'outside': return maker.code('outside', `see what ${diagnosis.at} waits for: ask it in parallel, keep its answers, or do it in a job afterwards`, { intent: diagnosis.at })
    case 'pause': return maker.code('pause', `a statement pauses because it is told to: ${statementOf(evidence)}`, {})
    case 'read-models': return maker.code('read-models', 'read models are behind what sessions have seen: see the lag of their consumers, and what their batches wait for', {})
    case 'generator': return maker.nothing('push with more generators, or from another machine: --generators, and see what binds then')
    case 'machine': return maker.machine('machine', 'end the other programs on this machine, or give the deployment one of its own')
    case 'none': return maker.nothing('do nothing: no step would make requests noticeably quicker')
    case 'unexplained': return maker.nothing('nothing is proposed for what is not explained')
  }
}

const statementOf = ({ statements }: Evidence): string => statements[0]?.text.replace(/\s+/g, ' ').trim().slice(0, 160) ?? '(not counted)'

class Maker {
  readonly #evidence: Evidence
  readonly #parts: readonly Part[]
  readonly #configured: Configured

  constructor(evidence: Evidence, parts: readonly Part[], configured: Configured) {
    this.#evidence = evidence
    this.#parts = parts
    this.#configured = configured
  }

  #make(proposal: Omit<Proposal, 'gain' | 'netMs' | 'command' | 'why' | 'target'> & Partial<Proposal>): Proposal {
    const ms = this.#evidence.requests.perSecond > 0 ? netMs(this.#evidence, this.#parts) : 0
    return { gain: asItIs(Math.max(ms, 0.01)), command: null, why: [], target: {}, netMs: ms, ...proposal }
  }

  #gain(resource: Resource, left: Interval, more: { processes?: number; connections?: number } = {}): Interval {
    return gainOf(this.#evidence, this.#parts, { ...more, left: part => part.resource === resource ? left : unchanged })
  }

  nothing(text: string): Proposal { return this.#make({ kind: 'nothing', text }) }

  code(resource: Resource, text: string, target: Proposal['target']): Proposal {
    return this.#make({ kind: 'change-code', text, gain: this.#gain(resource, half), target: { ...target, resource }, why: ['the gain is that of halving it, up to doing without it'] })
  }

  machine(resource: Resource, text: string): Proposal {
    const gain = resource === 'machine' ? this.#withoutOthers() : this.#gain(resource, few)
    return this.#make({ kind: 'change-machine', text, gain, target: { resource }, ...resource === 'machine' ? { netMs: this.#evidence.requests.meanMs } : {} })
  }

  /** Of want of processors, the parts are free already. */
  #withoutOthers(): Interval {
    const [net, whole] = [netMs(this.#evidence, this.#parts), this.#evidence.requests.meanMs]
    return [Math.max(1, 0.6 * whole / net), Math.max(1, 1.2 * whole / net)]
  }

  locks(): Proposal {
    const [holder] = this.#evidence.activity?.holders ?? []
    const text = holder === undefined ? 'shorten the transactions that hold locks'
      : holder.isIntent ? `${holder.who} waits for itself: many change the same row. Keep the transaction short from the first change of it on, or count in several rows`
        : `the program '${holder.who}' holds locks that requests wait for: end it, or let it hold them for less long`
    const left = holder && !holder.isIntent ? few : [0, 0.4] as const
    return this.#make({ kind: 'change-code', text, gain: this.#gain('locks', left), target: { resource: 'locks' } })
  }

  /** Of the statements that an index would help, what they take goes; a part of what the database computes. */
  index(findings: readonly Finding[]): Proposal | null {
    const total = this.#evidence.statements.reduce((sum, one) => sum + one.perSecond * one.meanMs, 0)
    const helped = findings.filter(one => one.kind === 'missing-index' && one.index && one.statements).map(finding => {
      const statements = this.#evidence.statements.filter(one => finding.statements!.service === one.service && finding.statements!.texts.includes(one.text))
      return { finding, share: total > 0 ? statements.reduce((sum, one) => sum + one.perSecond * one.meanMs, 0) / total : 0 }
    }).sort((a, b) => b.share - a.share)[0]
    if (!helped || helped.share < 0.3) return null
    const { finding: { index, migration, summary }, share } = helped
    return this.#make({
      kind: 'add-index', text: summary, command: migration ? `${migration.service}/migrations/${migration.file}:\n${migration.sql}` : null,
      gain: this.#gain('database', [1 - share, 1 - 0.8 * share]), why: [`the statements that it helps take ${(share * 100).toFixed(0)} % of the time of all`],
      target: { index: { service: index!.service, table: index!.table, columns: index!.columns.map(one => one.column) }, resource: 'database' },
    })
  }

  /** The query whose kept answers would save the most. */
  answers(): Proposal | null {
    if (this.#configured.hasCache) return null
    const all = this.#evidence.intents.reduce((sum, one) => sum + timeOf(one.at), 0)
    const best = this.#evidence.ghosts.flatMap(ghost => {
      const intent = this.#evidence.intents.find(one => one.intent === ghost.intent)
      const size = ghost.sizes.find(one => one.bytesMax === standardCache)
      return intent && size && size.hits[0] >= hitsWorth ? [{ ghost, hits: size.hits, part: timeOf(intent.at) / all }] : []
    }).sort((a, b) => b.hits[0] * b.part - a.hits[0] * a.part)[0]
    if (!best) return null
    const { ghost, hits, part } = best
    const gain = gainOf(this.#evidence, this.#parts, { left: () => [1 - hits[1] * part, 1 - hits[0] * part] })
    if (gain[0] < gainWorth) return null
    return this.#make({
      kind: 'keep-answers', text: `keep the answers of ${ghost.intent}: ${(hits[0] * 100).toFixed(0)} to ${(hits[1] * 100).toFixed(0)} % would be hits`, command: commandOf(ghost), gain,
      why: [`of ${Math.round(ghost.requests)} requests that were watched, ${Math.round(ghost.keys)} asked something new; an answer takes ${Math.round(ghost.bytesPerAnswer)} bytes and stays fresh for ${ghost.freshMs / 1_000} s`],
      target: { intent: ghost.intent },
    })
  }

  connections(at: string): Proposal {
    const [service, kind] = at.split(' ') as [string, string]
    const { processes } = this.#configured
    const pool = this.#evidence.pools.find(one => one.service === service && one.pool === kind)!
    const [now, asked] = [Math.round(pool.max / processes), (pool.used + pool.waiting) / processes]
    const enough = Math.ceil(asked * 1.25) + 1
    const room = this.#evidence.connectionsPerService ?? Infinity
    // The other pool keeps what it has as a standard, or what is left, and something always.
    const other = Math.max(1, Math.min(kind === 'read' ? limits.writersMax : limits.readersMax, room - enough))
    const given = Math.min(enough, room - other)
    if (given <= now) return this.#make({ kind: 'more-connections', text: `raise max_connections of Postgres, and give the ${kind} pool of ${service} ${enough} connections in each process: all that Postgres allows have been given out`, gain: this.#gain('pool', few), target: { pool: at, resource: 'pool' } })
    return this.#make({
      kind: 'more-connections', text: `give the ${kind} pool of ${service} more connections: ${given} in each process, instead of ${now}`,
      command: `ports.database of the topology:\nconnections: ${kind === 'read' ? `{ read: ${given}, write: ${other} }` : `{ read: ${other}, write: ${given} }`}`,
      why: given < enough ? [`${enough} would do, and max_connections of Postgres leaves ${room} to each service in each process, both pools together`] : [],
      gain: this.#gain('pool', waitLeft(asked, now, given), { connections: given * processes - pool.max }), target: { pool: at, resource: 'pool' },
    })
  }

  /** Keeping answers costs nothing; another process needs a processor; else the handler has to compute less. */
  forLoop(process: string): Proposal {
    const kept = this.answers()
    if (kept) return kept
    const free = coresFree(this.#evidence)
    const { nextTopology } = this.#configured
    if (free >= 0.5) {
      // A second process takes what is free, and no more.
      const part = Math.min(1, free)
      const gain = gainOf(this.#evidence, this.#parts, { left: () => unchanged, processes: part })
      return nextTopology ? this.#make({ kind: 'next-topology', text: `go to the topology ${nextTopology}: a process on every core, and kept answers`, command: `tenfold start --topology ${nextTopology}`, gain, why: [`${free.toFixed(1)} cores are free`] })
        : this.#make({ kind: 'add-process', text: `run one process more like ${process.replace(/-\d+$/, '')}`, command: `processes.${process.replace(/-\d+$/, '')}.replicas of the topology: ${this.#configured.processes + 1}`, gain, why: [`${free.toFixed(1)} cores are free`] })
    }
    const intent = [...this.#evidence.intents].sort((a, b) => (b.at.own ?? 0) - (a.at.own ?? 0))[0]?.intent ?? ''
    const proposal = this.code('event-loop', `let ${intent} compute less, or in a job: no core is free for another process`, { intent })
    return { ...proposal, why: [...proposal.why, `${free.toFixed(1)} cores are free`] }
  }
}

/** Who waits then, of those who wait now: all ask again when they are answered, and each connection that is more answers sooner. */
function waitLeft(asked: number, now: number, given: number): Interval {
  const left = Math.max(0, asked - given) / Math.max(1, asked - now) * now / given
  return [0.7 * left, left + 0.2]
}

const timeOf = (at: Readonly<Record<string, number | undefined>>): number => Object.values(at).reduce<number>((sum, one) => sum + (one ?? 0), 0)

function commandOf({ intent, freshMs, isDeclared }: GhostEvidence): string {
  const port = `ports.cache of the topology: { driver: 'memory', bytesMax: ${standardCache} }`
  return isDeclared ? port : `freshness: { freshMs: ${freshMs} } in ${intent}, if its answers may be that old, and\n${port}`
}
