/** A table that is sorted by its heads. While it lives, rows change their places only now and then, and never under a pointer. */
import { Fragment, useRef, useState } from 'react'
import type { ReactNode } from 'react'

export interface Column<Row> {
  readonly name: string
  readonly label: string
  /** What it is sorted by; absent where there is no order. */
  value?(row: Row): number | string | null
  show(row: Row): ReactNode
  readonly numeric?: boolean
  /** Left out where there is little room. */
  readonly wide?: boolean
}

interface TableProps<Row> {
  readonly label: string
  readonly rows: readonly Row[]
  readonly columns: readonly Column<Row>[]
  readonly sort?: string
  readonly ascending?: boolean
  keyOf(row: Row): string
  /** Below the row, when there is something. */
  detail?(row: Row): ReactNode
}

const settledMs = 4_000

function compare(a: number | string | null, b: number | string | null): number {
  if (a === b) return 0
  if (a === null) return -1
  if (b === null) return 1
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b))
}

export function Table<Row>({ label, rows, columns, keyOf, detail, ...initial }: TableProps<Row>) {
  const [sort, setSort] = useState({ name: initial.sort ?? columns[0]!.name, ascending: initial.ascending ?? false })
  const held = useRef(false)
  const order = useRef<{ by: string; keys: Map<string, number>; atMs: number }>({ by: '', keys: new Map(), atMs: 0 })
  const by = `${sort.name} ${sort.ascending}`
  const isSettled = order.current.by === by && (held.current || performance.now() - order.current.atMs < settledMs)
  if (!isSettled || rows.some(row => !order.current.keys.has(keyOf(row)))) {
    const value = columns.find(one => one.name === sort.name)?.value
    const sorted = value ? [...rows].sort((a, b) => (sort.ascending ? 1 : -1) * compare(value(a), value(b)) || keyOf(a).localeCompare(keyOf(b))) : rows
    order.current = { by, keys: new Map(sorted.map((row, index) => [keyOf(row), index])), atMs: performance.now() }
  }
  const shown = [...rows].sort((a, b) => order.current.keys.get(keyOf(a))! - order.current.keys.get(keyOf(b))!)
  const hold = (value: boolean) => () => { held.current = value }
  return (
    <div className="scroll" role="group" aria-label={label} tabIndex={0} onPointerEnter={hold(true)} onPointerLeave={hold(false)} onFocus={hold(true)} onBlur={hold(false)}>
      <table>
        <thead>
          <tr>
            {columns.map(column => (
              <th key={column.name} scope="col" className={classOf(column)} aria-sort={sort.name === column.name ? sort.ascending ? 'ascending' : 'descending' : undefined}>
                {column.value
                  ? <button type="button" className="sort" onClick={() => setSort({ name: column.name, ascending: sort.name === column.name ? !sort.ascending : !column.numeric })}>{column.label}</button>
                  : column.label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {shown.map(row => {
            const below = detail?.(row)
            return (
              <Fragment key={keyOf(row)}>
                <tr>{columns.map((column, index) => index === 0
                  ? <th key={column.name} scope="row" className={classOf(column)}>{column.show(row)}</th>
                  : <td key={column.name} className={classOf(column)}>{column.show(row)}</td>)}
                </tr>
                {below && <tr className="detail"><td colSpan={columns.length}>{below}</td></tr>}
              </Fragment>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

const classOf = <Row,>({ numeric, wide }: Column<Row>): string => [numeric ? 'numeric' : '', wide ? 'wide' : ''].join(' ').trim()
