/**
 * The ledger of advice: which step was proposed and what it would bring, and, once it was
 * taken, what it has brought. A file of lines in the data folder. A step counts as taken when
 * what it would change has changed; then the next look at similar requests measures it.
 */
import { readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { randomHex } from '../base/random.ts'
import type { IndexFacts } from '../ports/inspection.ts'
import { attribute } from './binding/attribution.ts'
import type { Binding } from './binding/binding.ts'
import { gainText } from './binding/binding.ts'
import type { Evidence } from './binding/evidence.ts'
import { netMs } from './binding/gain.ts'
import type { Interval } from './binding/gain.ts'
import type { Configured } from './binding/configured.ts'
import type { Proposal, StepKind } from './binding/proposal.ts'

export interface LedgerEntry {
  readonly id: string
  readonly at: string
  readonly verdict: string
  readonly kind: StepKind
  readonly text: string
  readonly predicted: Interval
  readonly before: State
  readonly target: Proposal['target']
  readonly takenAt: string | null
  readonly measured: { readonly at: string; readonly gain: number; readonly netMs: number; readonly isInside: boolean } | null
}

/** What steps change, and what they are measured by. */
interface State {
  readonly topology: string
  readonly processes: number
  readonly hasCache: boolean
  readonly netMs: number
  /** Milliseconds of a request at the resource that the step is about. */
  readonly partMs: number
  readonly poolMax: number
  /** Share of the requests, by intent. */
  readonly mix: Readonly<Record<string, number>>
}

/** What is known now. */
export interface Known { readonly evidence: Evidence; readonly configured: Configured; readonly indexes: readonly IndexFacts[] }

/** Requests of so many other intents are not compared. */
const mixMin = 0.7
const entriesMax = 1_000

const fileOf = (dataFolder: string): string => path.join(dataFolder, 'advice-ledger.jsonl')

export async function readLedger(dataFolder: string): Promise<LedgerEntry[]> {
  const text = await readFile(fileOf(dataFolder), 'utf8').catch(() => '')
  return text.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as LedgerEntry)
}

export async function writeLedger(dataFolder: string, entries: readonly LedgerEntry[]): Promise<void> {
  const file = fileOf(dataFolder)
  await writeFile(`${file}.new`, entries.slice(-entriesMax).map(entry => `${JSON.stringify(entry)}\n`).join(''))
  await rename(`${file}.new`, file)
}

/** The entries after another look: steps that were taken are measured, and what is proposed now is noted once. */
export function updated(entries: readonly LedgerEntry[], known: Known, { diagnosis, proposal }: Binding): LedgerEntry[] {
  const isComplete = diagnosis.verdict !== 'unexplained'
  const settled = entries.map(entry => entry.measured || !isComplete ? entry : settle(entry, known))
  if (proposal.kind === 'nothing' || !isComplete) return settled
  const isSame = (one: LedgerEntry) => one.takenAt === null && one.kind === proposal.kind && JSON.stringify(one.target) === JSON.stringify(proposal.target)
  const entry: LedgerEntry = {
    id: randomHex(4), at: known.evidence.at, verdict: diagnosis.verdict, kind: proposal.kind, text: proposal.text, predicted: proposal.gain,
    before: stateOf(known, proposal.target), target: proposal.target, takenAt: null, measured: null,
  }
  return [...settled.filter(one => !isSame(one)), entry]
}

function settle(entry: LedgerEntry, known: Known): LedgerEntry {
  const now = stateOf(known, entry.target)
  if (!isTaken(entry, now, known)) return entry
  const taken = { ...entry, takenAt: entry.takenAt ?? known.evidence.at }
  const alike = Object.entries(entry.before.mix).reduce((sum, [intent, share]) => sum + Math.min(share, now.mix[intent] ?? 0), 0)
  if (alike < mixMin || now.netMs === 0) return taken
  const gain = entry.before.netMs / now.netMs
  return { ...taken, measured: { at: known.evidence.at, gain, netMs: now.netMs, isInside: gain >= entry.predicted[0] && gain <= entry.predicted[1] } }
}

function isTaken({ kind, target, before }: LedgerEntry, now: State, { indexes }: Known): boolean {
  switch (kind) {
    case 'add-index': return indexes.some(one => one.service === target.index!.service && one.table === target.index!.table && target.index!.columns.every((column, position) => one.columns[position]?.column === column))
    case 'keep-answers': return now.hasCache && !before.hasCache
    case 'next-topology': return now.topology !== before.topology
    case 'add-process': return now.processes > before.processes
    case 'more-connections': return now.poolMax > before.poolMax
    // Of a change of code or machine only its effect is seen.
    case 'change-code': case 'change-machine': return now.partMs < before.partMs / 2
    case 'nothing': return false
  }
}

function stateOf({ evidence, configured }: Known, target: Proposal['target']): State {
  const { parts } = attribute(evidence)
  const { requests, intents, pools } = evidence
  const perSecond = intents.reduce((sum, one) => sum + one.perSecond, 0)
  const at = parts.filter(one => one.resource === target.resource).reduce((sum, one) => sum + one.requests, 0)
  return {
    topology: configured.topology, processes: configured.processes, hasCache: configured.hasCache,
    // Of want of processors, it is what goes.
    netMs: requests.perSecond === 0 ? 0 : target.resource === 'machine' ? requests.meanMs : netMs(evidence, parts), partMs: requests.perSecond > 0 ? at / requests.perSecond * 1_000 : 0,
    poolMax: pools.find(one => `${one.service} ${one.pool}` === target.pool)?.max ?? 0,
    mix: Object.fromEntries(intents.map(one => [one.intent, perSecond > 0 ? one.perSecond / perSecond : 0])),
  }
}

export function ledgerText(entries: readonly LedgerEntry[]): string {
  if (entries.length === 0) return 'no step has been proposed yet: tenfold advise, while requests are answered'
  return entries.map(({ at, kind, text, predicted, takenAt, measured }) => [
    `${at} ${kind}: ${text}`,
    `  predicted ${gainText(predicted)}`,
    `  ${measured ? `measured  ${measured.gain.toFixed(1)} times as quick, ${measured.isInside ? 'inside' : 'outside'} (${measured.at})` : takenAt ? `taken     ${takenAt}, not measured yet: other requests are asked` : 'not taken'}`,
  ].join('\n')).join('\n\n')
}
