/** The database: what it spends its time on, the plan of a statement when asked, tables and indexes with their sizes. */
import { useState } from 'react'
import type { IndexFacts, Observation, StatementFacts, TableFacts } from '../../src/ports/inspection.ts'
import type { ReplicasSample } from '../../src/admin/sample.ts'
import { bytes, count, duration, milliseconds, number, percent, rate } from './format.ts'
import { useLive } from './live.ts'
import { Empty, Loaded } from './notice.tsx'
import { Code, Panel, Tile, Tiles } from './panel.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import { Table } from './table.tsx'

interface Facts { readonly observation: Observation; readonly tables: readonly TableFacts[]; readonly indexes: readonly IndexFacts[] }
type Statement = StatementFacts & { readonly id: string }
interface Statements { readonly totalMs: number; readonly statements: readonly Statement[] }

export function DatabasePage() {
  const facts = useResource<Facts>('/database', 30_000)
  const statements = useResource<Statements>('/database/statements?limit=200', 10_000)
  const { last } = useLive()
  const postgres = last?.postgres ?? null
  return (
    <>
      <Tiles>
        <Tile label="Connections" value={postgres ? `${postgres.connections} of ${postgres.connectionsMax}` : '–'} />
        <Tile label="Commits" value={rate(postgres?.commitsPerSecond ?? null)} note={`${rate(postgres?.rollbacksPerSecond ?? null)} rolled back`} />
        <Tile label="Found in memory" value={percent(postgres?.cacheHits ?? null)} note="blocks, last second" />
        <Tile label="Write-ahead log" value={postgres ? `${bytes(postgres.walBytesPerSecond)}/s` : '–'} />
        <Tile label="Locks awaited" value={count(postgres?.locksAwaited ?? null)} tone={postgres && postgres.locksAwaited > 0 ? 'warn' : undefined} />
        <Tile label="Size" value={bytes(postgres?.sizeBytes ?? null)} />
      </Tiles>
      {last?.replicas && <Replicas told={last.replicas} />}
      <Panel title="Statements" note={facts.data ? `counted for ${duration(facts.data.observation.statementsMs)}${facts.data.observation.incomplete ? '; rare ones are missing' : ''}` : undefined}>
        <Loaded of={statements} what="statements">{data => <StatementTable {...data} />}</Loaded>
      </Panel>
      <Loaded of={facts} what="tables and indexes">{data => (
        <>
          <Panel title="Tables" note={`${bytes(data.tables.reduce((sum, one) => sum + one.bytes, 0))} without indexes`}><TableTable tables={data.tables} indexes={data.indexes} /></Panel>
          <Panel title="Indexes" note={`${bytes(data.indexes.reduce((sum, one) => sum + one.bytes, 0))}, use counted for ${duration(data.observation.tablesMs)}`}><IndexTable indexes={data.indexes} /></Panel>
        </>
      )}</Loaded>
    </>
  )
}

function Replicas({ told: { replicas, confirming, awaited, readsPerSecond, primaryReadsPerSecond } }: { told: ReplicasSample }) {
  return (
    <Panel title="Replicas" note={`${confirming} confirm commits, ${awaited} must; queries read ${rate(readsPerSecond)} here, ${rate(primaryReadsPerSecond)} on the primary`}>
      {replicas.length === 0 ? <Empty>None follows: commits wait for one. The log of the supervisor says why.</Empty> : (
        <Table label="Replicas" rows={replicas} keyOf={row => row.name} sort="name" ascending columns={[
          { name: 'name', label: 'Replica', value: row => row.name, show: row => row.name },
          { name: 'bytes', label: 'Behind', numeric: true, value: row => row.lagBytes, show: row => bytes(row.lagBytes) },
          { name: 'time', label: 'For', numeric: true, value: row => row.lagMs, show: row => duration(row.lagMs) },
        ]} />
      )}
    </Panel>
  )
}

function StatementTable({ totalMs, statements }: Statements) {
  const [open, setOpen] = useState<string | null>(null)
  if (statements.length === 0) return <Empty>The database has counted no statement of this application yet.</Empty>
  return (
    <Table label="Statements" rows={statements} keyOf={row => row.id} sort="total" detail={row => row.id === open ? <PlanOf id={row.id} /> : null} columns={[
      { name: 'text', label: 'Statement', show: row => (
        <>
          <code className="sql">{row.text}</code>
          <span className="row-actions">
            {row.intent && <a href={addressOf('intents', row.intent)}>{row.intent}</a>}
            <button type="button" aria-expanded={row.id === open} onClick={() => setOpen(row.id === open ? null : row.id)}>{row.id === open ? 'Hide plan' : 'Show plan'}</button>
          </span>
        </>
      ) },
      { name: 'total', label: 'Time in all', numeric: true, value: row => row.totalMs, show: row => <>{milliseconds(row.totalMs)} <small>{percent(totalMs > 0 ? row.totalMs / totalMs : 0)}</small></> },
      { name: 'calls', label: 'Calls', numeric: true, value: row => row.calls, show: row => count(row.calls) },
      { name: 'mean', label: 'Mean', numeric: true, value: row => row.totalMs / row.calls, show: row => milliseconds(row.totalMs / row.calls) },
      { name: 'max', label: 'Longest', numeric: true, wide: true, value: row => row.maxMs, show: row => milliseconds(row.maxMs) },
      { name: 'rows', label: 'Rows per call', numeric: true, wide: true, value: row => row.rowsPerCall, show: row => number(row.rowsPerCall) },
      { name: 'pages', label: 'Pages per call', numeric: true, wide: true, value: row => row.pagesPerCall, show: row => number(row.pagesPerCall) },
    ]} />
  )
}

function PlanOf({ id }: { id: string }) {
  const plan = useResource<{ plan: string | null }>(`/database/statements/${id}/plan`)
  return <Loaded of={plan} what="the plan">{({ plan }) => plan === null ? <Empty>The database cannot explain this statement: too much of it was lost when it was normalised.</Empty> : <Code text={plan} label="plan" />}</Loaded>
}

function TableTable({ tables, indexes }: Pick<Facts, 'tables' | 'indexes'>) {
  if (tables.length === 0) return <Empty>The services have no tables.</Empty>
  const indexed = (row: TableFacts) => indexes.filter(one => one.service === row.service && one.table === row.table).reduce((sum, one) => sum + one.bytes, 0)
  return (
    <Table label="Tables" rows={tables} keyOf={row => `${row.service}.${row.table}`} sort="size" columns={[
      { name: 'table', label: 'Table', value: row => `${row.service}.${row.table}`, show: row => <code>{row.service}.{row.table}</code> },
      { name: 'rows', label: 'Rows', numeric: true, value: row => row.rows, show: row => count(Math.round(row.rows)) },
      { name: 'size', label: 'Size', numeric: true, value: row => row.bytes, show: row => bytes(row.bytes) },
      { name: 'indexes', label: 'Its indexes', numeric: true, value: indexed, show: row => bytes(indexed(row)) },
      { name: 'dead', label: 'Dead rows', numeric: true, wide: true, value: row => row.deadRows, show: row => count(row.deadRows) },
    ]} />
  )
}

function IndexTable({ indexes }: Pick<Facts, 'indexes'>) {
  if (indexes.length === 0) return <Empty>The tables have no indexes.</Empty>
  return (
    <Table label="Indexes" rows={indexes} keyOf={row => `${row.service}.${row.name}`} sort="size" columns={[
      { name: 'index', label: 'Index', value: row => `${row.service}.${row.name}`, show: row => <code>{row.service}.{row.name}</code> },
      { name: 'columns', label: 'On', wide: true, show: row => <code>{row.table} ({row.columns.map(one => `${one.column || '…'}${one.descending ? ' ↓' : ''}`).join(', ')}){row.unique ? ' unique' : ''}</code> },
      { name: 'size', label: 'Size', numeric: true, value: row => row.bytes, show: row => bytes(row.bytes) },
      { name: 'scans', label: 'Scans', numeric: true, value: row => row.scans, show: row => count(row.scans) },
    ]} />
  )
}
