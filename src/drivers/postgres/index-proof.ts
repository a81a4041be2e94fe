/**
 * Proves an index: measures statements with real values, builds the index beside running
 * traffic, measures again, and drops it or gives it its name. Values come from rows of the
 * tables themselves, so that the statement finds something.
 */
import pg from 'pg'
import { randomHex } from '../../base/random.ts'
import type { IndexShape, Proof } from '../../ports/inspection.ts'
import { quote } from './migration.ts'
import { conditionsOf, nodesOf } from './plan-scan.ts'
import type { PlanNode } from './plan-scan.ts'

/** So many sets of values are measured; the median counts. */
const samples = 7
const measureMs = 10_000
const pageRows = 20
const arrayValues = 20
const indeterminateType = '42P18'

interface Prepared { readonly name: string; readonly text: string; readonly arguments: readonly string[] }
interface Measured { readonly medianMs: number; readonly medianPages: number; readonly plans: readonly PlanNode[] }
interface Explained { readonly Plan: PlanNode; readonly 'Execution Time': number }

const isRead = (text: string) => /^\s*(SELECT|WITH)\b/i.test(text) && !/\b(INSERT|UPDATE|DELETE|MERGE)\b/i.test(text)

export async function prove(client: pg.ClientBase, texts: readonly string[], index: IndexShape, keepAs: string | null): Promise<Proof | null> {
  const before: (Prepared & Measured)[] = []
  for (const [position, text] of texts.filter(isRead).entries()) {
    const prepared = await prepare(client, `tenfold_proof_${position}`, text)
    if (prepared) before.push({ ...prepared, ...await measure(client, prepared) })
  }
  if (before.length === 0) return null
  const name = `tenfold_proof_${randomHex(4)}`
  const qualified = `${quote(index.service)}.${quote(name)}`
  let kept = false
  try {
    await client.query(createIndexText(name, index, 'CONCURRENTLY '))
    const proofs: Proof[] = []
    for (const one of before) {
      const after = await measure(client, one)
      const used = after.plans.some(plan => nodesOf(plan).some(node => node['Index Name'] === name))
      proofs.push({ text: one.text, beforeMs: one.medianMs, afterMs: after.medianMs, pagesBefore: one.medianPages, pagesAfter: after.medianPages, used })
    }
    const best = proofs.reduce((first, one) => gainOf(one) > gainOf(first) ? one : first)
    if (keepAs !== null && best.used) {
      await client.query(`ALTER INDEX ${qualified} RENAME TO ${quote(keepAs)}`)
      kept = true
    }
    return best
  } finally {
    // Also what a failed build left behind, which is invalid but kept up to date.
    if (!kept) await client.query(`DROP INDEX CONCURRENTLY IF EXISTS ${qualified}`)
  }
}

/** By pages, which no busy machine changes; one that does not use the index gains nothing. */
const gainOf = ({ used, pagesBefore, pagesAfter }: Proof): number => used ? pagesBefore / Math.max(1, pagesAfter) : 0

async function measure(client: pg.ClientBase, { name, arguments: sets }: Prepared): Promise<Measured> {
  const all: Explained[] = []
  // Twice: what the first round brings into the caches must not be counted for the second.
  for (const round of [0, 1]) for (const set of sets) {
    await client.query(`BEGIN READ ONLY; SET LOCAL statement_timeout = ${measureMs}`)
    try {
      const { rows } = await client.query<{ 'QUERY PLAN': [Explained] }>(`EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE ${name}${set}`)
      if (round === 1) all.push(rows[0]!['QUERY PLAN'][0])
    } finally { await client.query('ROLLBACK') }
  }
  const median = (of: (one: Explained) => number) => all.map(of).sort((a, b) => a - b)[Math.floor(all.length / 2)]!
  return {
    plans: all.map(one => one.Plan), medianMs: median(one => one['Execution Time']),
    medianPages: median(({ Plan: plan }) => (plan['Shared Hit Blocks'] ?? 0) + (plan['Shared Read Blocks'] ?? 0)),
  }
}

/** The statement with argument lists for it; null when it cannot be prepared as it is. */
async function prepare(client: pg.ClientBase, name: string, given: string): Promise<Prepared | null> {
  try {
    const text = await prepareTyped(client, name, given)
    const { rows: [row] } = await client.query<{ types: string[] }>('SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = $1', [name])
    const { rows: plans } = await client.query<{ 'QUERY PLAN': [{ Plan: PlanNode }] }>(`EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) ${text}`)
    const nodes = nodesOf(plans[0]!['QUERY PLAN'][0].Plan)
    const sets: string[] = []
    for (let sample = 0; sample < samples; sample++) {
      const found = await sampled(client, nodes)
      const list = row!.types.map((type, position) => literal(found.get(position + 1) ?? byRole(text, position + 1, type), type))
      sets.push(list.length === 0 ? '' : `(${list.join(', ')})`)
    }
    return { name, text, arguments: sets }
  } catch (error) {
    if (error instanceof pg.DatabaseError) return null
    throw error
  }
}

/** Normalising takes constants for parameters, also where any type would do, as in concat(): those were texts. The text that could be prepared. */
async function prepareTyped(client: pg.ClientBase, name: string, given: string): Promise<string> {
  for (let text = given; ;) {
    try {
      await client.query(`PREPARE ${name} AS ${text}`)
      return text
    } catch (error) {
      const parameter = error instanceof pg.DatabaseError && error.code === indeterminateType ? /\$(\d+)/.exec(error.message)?.[1] : undefined
      const typed = parameter && text.replaceAll(new RegExp(`\\$${parameter}(?!\\d|::)`, 'g'), `$$${parameter}::text`)
      if (!typed || typed === text) throw error
      text = typed
    }
  }
}

/** For each parameter that a column is compared with, a value that column has; of one table they are of one row. */
async function sampled(client: pg.ClientBase, nodes: readonly PlanNode[]): Promise<Map<number, string>> {
  const values = new Map<number, string>()
  for (const node of nodes.filter(one => one.Schema && one['Relation Name'])) {
    const conditions = [node.Filter, node['Index Cond']].flatMap(conditionsOf).filter(one => one.alias === node.Alias && one.parameter !== null)
    if (conditions.length === 0) continue
    const columns = conditions.map(({ column, any }, position) => any
      ? `(array_agg(${quote(column)}) FILTER (WHERE ${quote(column)} IS NOT NULL))[1:${arrayValues}]::text AS v${position}`
      : `(array_agg(${quote(column)}))[1]::text AS v${position}`)
    const { rows: [row] } = await client.query<Record<string, string | null>>(
      `SELECT ${columns.join(', ')} FROM (SELECT * FROM ${quote(node.Schema!)}.${quote(node['Relation Name']!)} TABLESAMPLE BERNOULLI (10) ORDER BY random() LIMIT ${arrayValues}) sample`)
    for (const [position, { parameter }] of conditions.entries()) {
      const value = row?.[`v${position}`]
      if (value != null && !values.has(parameter!)) values.set(parameter!, value)
    }
  }
  return values
}

/** A page as an application would ask for it; nothing for what is not known. */
function byRole(text: string, parameter: number, type: string): string | null {
  if (new RegExp(`\\bLIMIT \\$${parameter}(?!\\d)`, 'i').test(text)) return String(pageRows)
  if (new RegExp(`\\bOFFSET \\$${parameter}(?!\\d)`, 'i').test(text)) return '0'
  // `ON true`: pg_stat_statements makes a parameter of it.
  return type === 'boolean' ? 'true' : null
}

const literal = (value: string | null, type: string): string => `${value === null ? 'NULL' : pg.escapeLiteral(value)}::${type}`

export function createIndexText(name: string | null, { service, table, columns }: IndexShape, how: '' | 'CONCURRENTLY '): string {
  const list = columns.map(({ column, descending }) => quote(column) + (descending ? ' DESC' : '')).join(', ')
  return `CREATE INDEX ${how}${name === null ? '' : `${quote(name)} `}ON ${quote(service)}.${quote(table)} (${list})`
}
