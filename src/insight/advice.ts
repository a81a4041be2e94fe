/** `advise`: from facts to findings. Pure; silence when all is well, and a note where too little was seen. */
import type { Facts } from './facts.ts'
import type { Advice, Finding } from './finding.ts'
import { missingIndexes, redundantIndexes, unusedIndexes } from './index-advice.ts'
import { thresholds } from './thresholds.ts'
import { repeatedStatements, slowStatements, tablesToVacuum } from './workload-advice.ts'

export function advise(facts: Facts): Advice {
  const { observation, counts, statements } = facts
  const notes: string[] = []
  const observedCalls = statements.reduce((sum, one) => one.intents.length > 0 ? sum + one.calls : sum, 0)
  const findings: Finding[] = []
  if (observedCalls < thresholds.observedCalls) {
    notes.push(`not enough observed yet: ${observedCalls} statements of intents since the counts were reset ${duration(observation.statementsMs)} ago, and ${thresholds.observedCalls} are needed; come back after some traffic`)
  } else {
    const missing = missingIndexes(facts)
    const explained = new Set(missing.flatMap(one => one.texts))
    findings.push(...missing.map(one => one.finding), ...slowStatements(facts, explained))
    if (observation.incomplete) notes.push('Postgres keeps fewer statements than there were (pg_stat_statements.max): rare ones are missing')
  }
  if (observation.tablesMs >= thresholds.unusedMs) findings.push(...unusedIndexes(facts))
  else notes.push(`not enough observed yet to call an index unused: the use of indexes has been counted for ${duration(observation.tablesMs)}, and ${duration(thresholds.unusedMs)} are needed`)
  findings.push(...redundantIndexes(facts), ...tablesToVacuum(facts))
  if (counts === null) notes.push('statements per call were not looked at: no deployment of this application answers on the admin port')
  else findings.push(...repeatedStatements(counts))
  return { findings: numbered(findings, facts.migrations), notes }
}

/** Gives each suggested migration the next number of its service. */
function numbered(findings: readonly Finding[], migrations: Facts['migrations']): Finding[] {
  const next = new Map(Object.entries(migrations))
  return findings.map(finding => {
    if (!finding.migration) return finding
    const { service, file, sql } = finding.migration
    const number = (next.get(service) ?? 0) + 1
    next.set(service, number)
    return { ...finding, migration: { service, sql, file: `${String(number).padStart(4, '0')}-${file}` } }
  })
}

export function duration(ms: number): string {
  const [value, unit] = ms < 120_000 ? [ms / 1000, 's'] : ms < 7_200_000 ? [ms / 60_000, 'min'] : ms < 172_800_000 ? [ms / 3_600_000, 'h'] : [ms / 86_400_000, 'days']
  return `${Math.floor(value)} ${unit}`
}
