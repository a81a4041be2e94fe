/** Reads EXPLAIN's plan: where a whole table or index is read, by which conditions and in which order. */
import type { IndexColumn, Scan } from '../../ports/inspection.ts'

export interface PlanNode {
  readonly 'Node Type': string
  readonly Schema?: string
  readonly 'Relation Name'?: string
  readonly Alias?: string
  readonly 'Index Name'?: string
  readonly 'Plan Rows': number
  readonly Filter?: string
  readonly 'Index Cond'?: string
  readonly 'Sort Key'?: readonly string[]
  readonly 'Execution Time'?: number
  readonly 'Shared Hit Blocks'?: number
  readonly 'Shared Read Blocks'?: number
  readonly Plans?: readonly PlanNode[]
}

/** `column operator value` of one relation, as EXPLAIN prints it. */
export interface Condition {
  readonly alias: string
  readonly column: string
  readonly operator: '=' | '<' | '>' | '<=' | '>='
  /** `column = ANY (…)` */
  readonly any: boolean
  /** Number of the parameter it is compared with, when it is one. */
  readonly parameter: number | null
}

const identifier = String.raw`(?:"(?:[^"]|"")+"|[a-z_][\w$]*)`
const conditionPattern = new RegExp(String.raw`^\(?(${identifier})\.(${identifier})\)?(?:::[\w ]+)? (=|<=?|>=?) (ANY )?(.+)$`, 'i')
const columnPattern = new RegExp(String.raw`^(?:${identifier}\.)?(${identifier})( DESC)?$`)
const bare = (name: string) => name.startsWith('"') ? name.slice(1, -1).replaceAll('""', '"') : name
/** A column of some relation on the other side: a join, not a given value. */
const otherColumn = new RegExp(String.raw`(?<![)\w"'])${identifier}\.${identifier}`, 'i')

export function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}

/** The conditions that all must hold; those that are more than `column operator value` are left out. */
export function conditionsOf(expression: string | undefined): Condition[] {
  return expression === undefined ? [] : conjuncts(expression).flatMap(text => conditionOf(text) ?? [])
}

function conditionOf(text: string): Condition | null {
  const match = conditionPattern.exec(text)
  if (!match) return null
  const [, alias, column, operator, anyOf, value] = match as unknown as [string, string, string, Condition['operator'], string | undefined, string]
  if (otherColumn.test(value) || / (AND|OR) /.test(value)) return null
  const parameter = /\$(\d+)/.exec(value)
  return { alias: bare(alias), column: bare(column), operator, any: anyOf !== undefined, parameter: parameter ? Number(parameter[1]) : null }
}

/** `((a) AND (b))` as its parts; a text without AND at the top is its only one. */
function conjuncts(expression: string): string[] {
  const inner = unwrap(expression)
  const parts: string[] = []
  let [depth, quoted, start] = [0, false, 0]
  for (let index = 0; index < inner.length; index++) {
    const character = inner[index]
    if (character === '\'') quoted = !quoted
    if (quoted) continue
    if (character === '(') depth++
    if (character === ')') depth--
    if (depth === 0 && inner.startsWith(' AND ', index)) {
      parts.push(inner.slice(start, index))
      start = index + 5
    }
  }
  return [...parts, inner.slice(start)].map(unwrap)
}

/** Without the parentheses around the whole. */
function unwrap(text: string): string {
  if (!text.startsWith('(')) return text
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    if (text[index] === '(') depth++
    if (text[index] === ')' && --depth === 0) return index === text.length - 1 ? unwrap(text.slice(1, -1)) : text
  }
  return text
}

/** What the catalogs know and a plan does not say. */
export interface Catalog {
  rowsOf(schema: string, table: string): number
  /** The first column of an index. */
  leadingOf(schema: string, index: string): string | undefined
}

export function scansOf(plan: PlanNode, catalog: Catalog): Scan[] {
  const found: Scan[] = []
  const walk = (node: PlanNode, above: readonly PlanNode[]) => {
    // A bitmap's index scan does not say of which table it is: the heap scan above it does.
    const { Schema: service, 'Relation Name': table } = node.Schema ? node : { ...node, ...above.find(one => one['Node Type'] === 'Bitmap Heap Scan') }
    if (service && table) found.push(...scanOf(node, above, service, table, catalog))
    for (const child of node.Plans ?? []) walk(child, [node, ...above])
  }
  walk(plan, [])
  return found
}

function scanOf(node: PlanNode, above: readonly PlanNode[], service: string, table: string, catalog: Catalog): Scan[] {
  const index = node['Index Name'] ?? null
  const conditions = conditionsOf(index === null ? node.Filter : node['Index Cond'])
  if (index === null ? node['Node Type'] !== 'Seq Scan' : conditions.length === 0 || mentions(node['Index Cond']!, catalog.leadingOf(service, index))) return []
  const names = (wanted: (one: Condition) => boolean) => [...new Set(conditions.filter(wanted).map(one => one.column))]
  const order = index === null ? orderAbove(above) : []
  const sorted = order.length > 0 ? `, first rows in the order ${order.map(one => one.column + (one.descending ? ' DESC' : '')).join(', ')}` : ''
  const condition = node.Filter ?? node['Index Cond']
  const rows = catalog.rowsOf(service, table)
  return [{
    service, table, index, order,
    equals: names(one => one.operator === '='), ranges: names(one => one.operator !== '='),
    passing: rows > 0 ? Math.min(1, node['Plan Rows'] / rows) : 1,
    node: `${node['Node Type']} on ${service}.${table}${index === null ? '' : `, all of ${index}`}${condition ? `, filter ${condition}` : ''}${sorted}`,
  }]
}

/** True when the condition is about this column at all, be it by a join: then the index is entered at one place. */
const mentions = (condition: string, column: string | undefined): boolean =>
  column === undefined || new RegExp(String.raw`\."?${column.replace(/\W/g, String.raw`\$&`)}\b`).test(condition)

/** The order of a Sort directly above, when a Limit above it takes only the first rows. */
function orderAbove(above: readonly PlanNode[]): IndexColumn[] {
  const path = above.filter(node => !node['Node Type'].startsWith('Gather'))
  const [sort, limit] = path
  if (sort?.['Node Type'] !== 'Sort' || limit?.['Node Type'] !== 'Limit') return []
  const keys = (sort['Sort Key'] ?? []).map(key => columnPattern.exec(key))
  return keys.every(key => key !== null) ? keys.map(key => ({ column: bare(key[1]!), descending: key[2] !== undefined })) : []
}
