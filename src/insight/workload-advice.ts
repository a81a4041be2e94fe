/** Advice about the work itself: slow statements, statements in a loop, tables that vacuum does not keep up with. */
import type { IntentCount } from '../runtime/statistics.ts'
import type { Facts } from './facts.ts'
import type { Finding } from './finding.ts'
import { intentsNaming, measuresOf } from './index-advice.ts'
import { thresholds } from './thresholds.ts'

const shortCharacters = 200
const short = (text: string) => {
  const line = text.replace(/\s+/g, ' ').trim()
  return line.length > shortCharacters ? `${line.slice(0, shortCharacters)}…` : line
}

/** Those for which an index is proposed are not named twice. */
export function slowStatements({ statements }: Facts, explained: ReadonlySet<string>): Finding[] {
  const slow = statements.filter(one => one.intents.length > 0 && !explained.has(one.text) && one.calls >= thresholds.statementCalls
    && one.totalMs / one.calls >= thresholds.slowMeanMs && one.share >= thresholds.slowShare)
  return slow.map(one => ({
    kind: 'slow-statement', summary: `a statement takes ${(one.totalMs / one.calls).toFixed(0)} ms each time`, intents: one.intents,
    evidence: [measuresOf(one), `${one.rowsPerCall.toFixed(0)} rows per call, at most ${one.maxMs.toFixed(0)} ms`, short(one.text)],
    mend: 'no index ends it: read fewer rows (a page, a narrower condition), or keep the answer in a projection',
    statements: { service: one.service, texts: [one.text] },
  }))
}

/** N+1. A job may page through a table, and a projection gets many events at once: they are not judged. */
export function repeatedStatements(counts: readonly IntentCount[]): Finding[] {
  return counts.filter(one => one.kind === 'query' || one.kind === 'command' || one.kind === 'subscription').flatMap(({ intent, calls, texts }) => texts
    .filter(one => one.calls >= thresholds.repeatedCalls && one.perCallMax >= thresholds.repeatedMax && one.runs / one.calls >= thresholds.repeatedMean)
    .map((one): Finding => {
      const target = /^call (.+)$/.exec(one.text)?.[1]
      return {
        kind: 'repeated-statement', intents: [intent],
        summary: target ? `${intent} calls ${target} once per row` : `${intent} runs the same statement once per row`,
        evidence: [`${(one.runs / one.calls).toFixed(1)} times per call on average, at most ${one.perCallMax}, in ${one.calls} of ${calls} calls`, short(one.text)],
        mend: target ? `call an intent that takes all keys at once (ids: z.array(z.string())) instead of ${target} for each` : 'read all rows with one statement: a join, or WHERE id = ANY (${ids})',
      }
    }))
}

export function tablesToVacuum(facts: Facts): Finding[] {
  return facts.tables.flatMap(table => {
    const name = `${table.service}.${table.table}`
    const finding = (summary: string, evidence: string, mend: string): Finding[] => [{ kind: 'vacuum', summary, intents: intentsNaming(facts, table), evidence: [evidence], mend }]
    if (table.transactionAge >= thresholds.transactionAge) {
      return finding(`${name} has not been frozen for long`, `${(table.transactionAge * 100).toFixed(0)} % of the transactions at which Postgres stops`, `VACUUM (FREEZE, ANALYZE) ${name}; then find what holds vacuum back: a transaction, a prepared one or a replication slot that stays open`)
    }
    if (table.deadRows >= thresholds.deadRows && table.deadRows >= thresholds.deadTimes * table.vacuumAtRows) {
      return finding(`vacuum does not keep up with ${name}`, `${table.deadRows} dead rows beside ${table.rows}; vacuum is due at ${table.vacuumAtRows.toFixed(0)}`, `VACUUM (ANALYZE) ${name}; if it comes back: ALTER TABLE ${name} SET (autovacuum_vacuum_scale_factor = 0.01)`)
    }
    if (!table.analyzed && table.pages >= thresholds.unanalyzedPages && facts.observation.tablesMs >= thresholds.unanalyzedMs) {
      return finding(`${name} has never been analysed`, `${table.pages} pages of which the planner knows nothing`, `ANALYZE ${name}; is autovacuum on?`)
    }
    return []
  })
}
