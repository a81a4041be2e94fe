/** Gathers what advice is given on: what the engine knows, and what the runtime counted. */
import type { IndexFacts, Inspection, Observation, Scan, StatementFacts, TableFacts } from '../ports/inspection.ts'
import type { IntentCount } from '../runtime/statistics.ts'
import { indexCandidates } from './index-candidates.ts'
import type { Candidate } from './index-candidates.ts'
import { thresholds } from './thresholds.ts'

/** A statement with all the intents that run it. */
export interface Statement extends StatementFacts {
  readonly intents: readonly string[]
  /** Of the time of all statements of intents. */
  readonly share: number
}

export interface Facts {
  readonly observation: Observation
  readonly statements: readonly Statement[]
  readonly tables: readonly TableFacts[]
  readonly indexes: readonly IndexFacts[]
  /** Indexes that would end a scan, none that the planner is known not to take. */
  readonly candidates: readonly Candidate[]
  /** Null when no deployment could be asked. */
  readonly counts: readonly IntentCount[] | null
  /** The number of the last migration of each service. */
  readonly migrations: Readonly<Record<string, number>>
}

export async function gather(inspection: Inspection, counts: Facts['counts'], migrations: Facts['migrations']): Promise<Facts> {
  const [observation, raw, tables, indexes] = await Promise.all([inspection.observation(), inspection.statements(), inspection.tables(), inspection.indexes()])
  const statements = attributed(raw, counts)
  const candidates: Candidate[] = []
  for (const statement of statements.filter(worthALook)) {
    const scans: readonly Scan[] = await inspection.scans(statement.service, statement.text) ?? []
    for (const candidate of indexCandidates(statement, scans, tables, indexes)) {
      if (await inspection.wouldUse(statement.service, statement.text, candidate.index) !== false) candidates.push(candidate)
    }
  }
  return { observation, statements, tables, indexes, candidates, counts, migrations }
}

const worthALook = ({ calls, share, intents }: Statement): boolean =>
  intents.length > 0 && calls >= thresholds.statementCalls && share >= thresholds.scanShare

/** The engine keeps one text per statement, and so one mark; the runtime knows every intent that ran it. */
function attributed(raw: readonly StatementFacts[], counts: Facts['counts']): Statement[] {
  const runners = new Map<string, Set<string>>()
  for (const { intent, texts } of counts ?? []) for (const { text } of texts) {
    const key = `${intent.split('.')[0]} ${text.trim()}`
    runners.set(key, (runners.get(key) ?? new Set()).add(intent))
  }
  const totalMs = raw.reduce((sum, one) => one.intent === null ? sum : sum + one.totalMs, 0)
  return raw.map(one => {
    const intents = new Set(runners.get(`${one.service} ${one.text}`))
    if (one.intent !== null) intents.add(one.intent)
    return { ...one, intents: [...intents].sort(), share: totalMs > 0 ? one.totalMs / totalMs : 0 }
  }).sort((a, b) => b.totalMs - a.totalMs)
}
