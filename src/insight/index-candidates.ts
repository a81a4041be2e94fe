/** From scans of whole tables and indexes to the indexes that would end them. */
import type { IndexColumn, IndexFacts, IndexShape, Scan, TableFacts } from '../ports/inspection.ts'
import type { Statement } from './facts.ts'
import { thresholds } from './thresholds.ts'

const pageBytes = 8_192

export interface Candidate {
  readonly index: IndexShape
  readonly statement: Statement
  readonly scan: Scan
  readonly table: TableFacts
}

export function indexCandidates(statement: Statement, scans: readonly Scan[], tables: readonly TableFacts[], indexes: readonly IndexFacts[]): Candidate[] {
  return scans.flatMap(scan => {
    const table = tables.find(one => one.service === scan.service && one.table === scan.table)
    const own = indexes.filter(one => one.service === scan.service && one.table === scan.table)
    const whole = own.find(one => one.name === scan.index)
    const readPages = whole ? whole.bytes / pageBytes : table?.pages ?? 0
    if (!table || table.pages < thresholds.scanPages || statement.pagesPerCall < readPages * thresholds.scannedPagesMin) return []
    const columns = columnsFor(scan)
    // What is there already was offered to the planner, and it declined.
    if (columns.length === 0 || own.some(one => one.plain && serves(one, scan.equals, columns))) return []
    return [{ statement, scan, table, index: { service: scan.service, table: scan.table, columns } }]
  })
}

/** First what must be equal, then the order of the first rows, else one range. Empty when an index would not help. */
function columnsFor({ equals, ranges, order, passing }: Scan): IndexColumn[] {
  const selective = passing <= thresholds.passingMax
  if (order.length > 0 && (equals.length > 0 || ranges.length === 0 || order[0]!.column === ranges[0])) {
    return [...equals.map(ascending), ...order.filter(one => !equals.includes(one.column))]
  }
  if (!selective || equals.length + ranges.length === 0) return []
  return [...equals, ...ranges.slice(0, 1)].map(ascending)
}

const ascending = (column: string): IndexColumn => ({ column, descending: false })

/** True when the index begins with the columns that must be equal, in any order, and goes on with the others as wanted or all the other way round. */
function serves(index: IndexFacts, equals: readonly string[], wanted: readonly IndexColumn[]): boolean {
  const head = index.columns.slice(0, equals.length)
  if (head.length < equals.length || !head.every(one => equals.includes(one.column))) return false
  const rest = index.columns.slice(equals.length)
  const asked = wanted.slice(equals.length)
  const fits = (turned: boolean) => asked.every((one, position) => rest[position]?.column === one.column && rest[position].descending === (one.descending !== turned))
  return fits(false) || fits(true)
}

/** True when everything that `shorter` answers, `longer` answers too. */
export function covers(longer: IndexShape, shorter: IndexShape): boolean {
  return longer.service === shorter.service && longer.table === shorter.table && shorter.columns.length <= longer.columns.length
    && shorter.columns.every((one, position) => longer.columns[position]!.column === one.column && longer.columns[position]!.descending === one.descending)
}
