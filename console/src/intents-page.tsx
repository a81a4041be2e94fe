/** Every intent with its rate, errors, latency and cache; one of them with its lines and traces. */
import { useState } from 'react'
import type { IntentSample } from '../../src/admin/sample.ts'
import type { IntentCount } from './shapes.ts'
import { count, milliseconds, number, percent, rate } from './format.ts'
import { IntentDetail } from './intent-detail.tsx'
import { useLive } from './live.ts'
import { Empty, Loading } from './notice.tsx'
import { Badge, Panel } from './panel.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import type { Place } from './route.ts'
import { Table } from './table.tsx'
import type { Column } from './table.tsx'

interface Row { readonly intent: string; readonly kind: string; readonly now: IntentSample | null }

const columns: readonly Column<Row>[] = [
  { name: 'intent', label: 'Intent', value: row => row.intent, show: row => <a href={addressOf('intents', row.intent)}>{row.intent}</a> },
  { name: 'kind', label: 'Kind', value: row => row.kind, show: row => <Badge>{row.kind}</Badge>, wide: true },
  { name: 'rate', label: 'Rate', numeric: true, value: row => row.now?.perSecond ?? 0, show: row => rate(row.now?.perSecond ?? 0) },
  { name: 'failed', label: 'Failed', numeric: true, value: row => row.now?.failedPerSecond ?? 0, show: row => <Bad value={row.now?.failedPerSecond} /> },
  { name: 'refused', label: 'Refused', numeric: true, wide: true, value: row => row.now?.refusedPerSecond ?? 0, show: row => rate(row.now?.refusedPerSecond ?? 0) },
  { name: 'shed', label: 'Shed', numeric: true, wide: true, value: row => row.now?.shedPerSecond ?? 0, show: row => <Bad value={row.now?.shedPerSecond} /> },
  { name: 'p50', label: 'p50', numeric: true, value: row => row.now?.p50Ms ?? null, show: row => milliseconds(row.now?.p50Ms ?? null) },
  { name: 'p99', label: 'p99', numeric: true, value: row => row.now?.p99Ms ?? null, show: row => milliseconds(row.now?.p99Ms ?? null) },
  { name: 'cache', label: 'Cache hits', numeric: true, wide: true, value: row => row.now?.cacheHits ?? null, show: row => percent(row.now?.cacheHits ?? null) },
  { name: 'statements', label: 'Statements per call', numeric: true, wide: true, value: row => row.now?.statementsPerCall ?? null, show: row => row.now ? number(row.now.statementsPerCall) : '–' },
  { name: 'database', label: 'Database per call', numeric: true, wide: true, value: row => row.now?.statementMsPerCall ?? null, show: row => row.now ? milliseconds(row.now.statementMsPerCall) : '–' },
]

const Bad = ({ value = 0 }: { value?: number | undefined }) => <span className={value > 0 ? 'bad-text' : ''}>{rate(value)}</span>

export function IntentsPage({ place }: { place: Place }) {
  const { last, samples } = useLive()
  const [text, setText] = useState('')
  // Those of which nothing has happened in the last seconds are known by what they did before.
  const counts = useResource<readonly IntentCount[]>('/statistics', 15_000)
  const [name] = place.rest
  if (name !== undefined) return <IntentDetail intent={name} />
  if (!last) return <Loading what="Waiting for the first numbers" />
  const known = new Map<string, string>([...counts.data ?? []].map(one => [one.intent, one.kind]))
  for (const sample of samples) for (const { intent, kind } of sample.intents) known.set(intent, kind)
  const now = new Map(last.intents.map(one => [one.intent, one]))
  const all = [...known].map(([intent, kind]): Row => ({ intent, kind, now: now.get(intent) ?? null }))
  const rows = all.filter(row => row.intent.toLowerCase().includes(text.toLowerCase()) || row.kind === text)
  return (
    <Panel title="Intents" note={`${count(all.length)} that have been called, rates and times of the last 10 s`} actions={
      <label className="search"><span className="hidden">Find an intent</span><input type="search" placeholder="Find an intent" value={text} onChange={event => setText(event.target.value)} /></label>
    }>
      {all.length === 0 ? <Empty>Nothing has been called yet. Send a request to the application, or start load.</Empty>
        : rows.length === 0 ? <Empty>No intent has “{text}” in its name.</Empty>
        : <Table label="Intents" rows={rows} columns={columns} sort="rate" keyOf={row => row.intent} />}
    </Panel>
  )
}
