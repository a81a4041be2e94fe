/** Advice about indexes: those that are missing, those that nobody uses, and those that another one replaces. */
import type { IndexFacts, IndexShape } from '../ports/inspection.ts'
import type { Facts, Statement } from './facts.ts'
import type { Finding } from './finding.ts'
import { covers } from './index-candidates.ts'
import type { Candidate } from './index-candidates.ts'
import { thresholds } from './thresholds.ts'

const nameBytesMax = 63
const columnsOf = (index: IndexShape) => index.columns.map(one => one.column + (one.descending ? ' DESC' : '')).join(', ')
const nameOf = ({ table, columns }: IndexShape) => `${table}_by_${columns.map(one => one.column).join('_')}`.slice(0, nameBytesMax)
const fileOf = (text: string) => `${text.toLowerCase().replace(/[^a-z0-9]+/g, '-')}.sql`
const identifier = (name: string) => /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`
const unique = (list: readonly string[]) => [...new Set(list)].sort()

export interface MissingIndex { readonly finding: Finding; readonly texts: readonly string[] }

/** One finding per index, however many statements it would help. */
export function missingIndexes({ candidates }: Facts): MissingIndex[] {
  const longest = candidates.filter(one => !candidates.some(other => covers(other.index, one.index) && other.index.columns.length > one.index.columns.length))
  const groups = Map.groupBy(longest, one => `${one.index.service}.${one.index.table} (${columnsOf(one.index)})`)
  return [...groups].map(([key, same]) => {
    const helped = candidates.filter(one => covers(same[0]!.index, one.index))
    return { texts: helped.map(one => one.statement.text), finding: missingIndex(key, same[0]!, helped) }
  })
}

function missingIndex(key: string, { index, table, scan }: Candidate, helped: readonly Candidate[]): Finding {
  const name = nameOf(index)
  const columns = index.columns.map(one => identifier(one.column) + (one.descending ? ' DESC' : '')).join(', ')
  return {
    kind: 'missing-index', summary: `an index on ${key} would end reading ${scan.index === null ? 'the whole table' : `all of ${scan.index}`}`,
    intents: unique(helped.flatMap(one => one.statement.intents)),
    evidence: [...new Set(helped.map(one => one.statement))].map(measuresOf).concat(`${scan.node}; the table has ${table.rows} rows on ${table.pages} pages`),
    mend: 'add the migration below',
    index: { ...index, name }, statements: { service: index.service, texts: unique(helped.map(one => one.statement.text)) },
    migration: { service: index.service, file: fileOf(name), sql: `CREATE INDEX IF NOT EXISTS ${identifier(name)} ON ${identifier(index.table)} (${columns});` },
  }
}

export function measuresOf({ calls, totalMs, share, pagesPerCall }: Statement): string {
  return `${calls} calls, ${totalMs.toFixed(0)} ms in all (${(share * 100).toFixed(1)} % of all statements), ${(totalMs / calls).toFixed(2)} ms and ${pagesPerCall.toFixed(0)} pages each`
}

export function unusedIndexes(facts: Facts): Finding[] {
  return facts.indexes.filter(one => one.scans === 0 && !one.unique && one.bytes >= thresholds.unusedBytes).map(index => ({
    kind: 'unused-index', summary: `no statement has used the index ${index.service}.${index.name}`,
    intents: intentsNaming(facts, index),
    evidence: [`0 scans, ${(index.bytes / 1_048_576).toFixed(1)} MiB that every write keeps up to date`],
    mend: 'drop it, unless a rare report needs it', migration: dropOf(index),
  }))
}

/** An index is redundant when a longer one begins with the same columns; of two that are the same the later name goes. */
export function redundantIndexes(facts: Facts): Finding[] {
  return facts.indexes.flatMap(index => {
    if (index.unique || !index.plain) return []
    const by = facts.indexes.find(other => other !== index && other.plain && covers(other, index)
      && (other.columns.length > index.columns.length || other.unique || other.name < index.name))
    if (!by) return []
    return [{
      kind: 'redundant-index', summary: `the index ${index.service}.${index.name} answers nothing that ${by.name} does not`,
      intents: intentsNaming(facts, index),
      evidence: [`${index.name} (${columnsOf(index)}) is the beginning of ${by.name} (${columnsOf(by)})`],
      mend: 'drop it: every write keeps both up to date', migration: dropOf(index),
    }]
  })
}

const dropOf = ({ service, name }: IndexFacts) => ({ service, file: fileOf(`drop-${name}`), sql: `DROP INDEX ${identifier(name)};` })

export function intentsNaming({ statements }: Facts, { service, table }: { readonly service: string; readonly table: string }): string[] {
  const named = new RegExp(`\\b${table.replace(/\W/g, '\\$&')}\\b`)
  return unique(statements.filter(one => one.service === service && named.test(one.text)).flatMap(one => one.intents))
}
