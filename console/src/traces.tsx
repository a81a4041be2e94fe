/** The traces of an intent that processes have kept: the slowest, the failed, the sampled; one of them as a waterfall. */
import { useState } from 'react'
import type { TraceSummary } from './shapes.ts'
import { count, dateTime, milliseconds } from './format.ts'
import { Empty, Loaded } from './notice.tsx'
import { Badge, Panel } from './panel.tsx'
import { useResource } from './resource.ts'
import { addressOf } from './route.ts'
import { Table } from './table.tsx'
import { Waterfall } from './waterfall.tsx'

export function Traces({ intent }: { intent: string }) {
  const [failed, setFailed] = useState(false)
  const [open, setOpen] = useState<string | null>(null)
  const traces = useResource<readonly TraceSummary[]>(`/traces?intent=${encodeURIComponent(intent)}&limit=100${failed ? '&failed=1' : ''}`, 5_000)
  return (
    <Panel title="Traces" note="the slowest, the failed and the sampled are kept" actions={<label className="check"><input type="checkbox" checked={failed} onChange={event => setFailed(event.target.checked)} />Failed only</label>}>
      <Loaded of={traces} what="traces">{all => all.length === 0 ? <Empty>{failed ? 'None has failed.' : 'None is kept yet.'}</Empty> : (
        <Table label={`Traces of ${intent}`} rows={all.slice(0, 50)} keyOf={row => `${row.traceId} ${row.process} ${row.startMs}`} sort="duration"
          detail={row => open === `${row.traceId} ${row.process} ${row.startMs}` ? <Waterfall traceId={row.traceId} /> : null} columns={[
            { name: 'trace', label: 'Trace', show: row => {
              const key = `${row.traceId} ${row.process} ${row.startMs}`
              return <button type="button" aria-expanded={open === key} onClick={() => setOpen(open === key ? null : key)}><code>{row.traceId.slice(0, 8)}</code></button>
            } },
            { name: 'duration', label: 'Took', numeric: true, value: row => row.durationMs, show: row => milliseconds(row.durationMs) },
            { name: 'outcome', label: 'Outcome', value: row => row.code ?? '', show: row => row.failed ? <Badge tone="bad">{row.code ?? 'failed'}</Badge> : row.code ? <Badge tone="warn">{row.code}</Badge> : <Badge tone="good">{row.status ?? 'ok'}</Badge> },
            { name: 'spans', label: 'Spans', numeric: true, wide: true, value: row => row.spans, show: row => count(row.spans) },
            { name: 'process', label: 'Process', wide: true, value: row => row.process, show: row => row.process },
            { name: 'at', label: 'At', value: row => row.startMs, show: row => dateTime(row.startMs), wide: true },
            { name: 'log', label: 'Log', wide: true, show: row => <a href={`${addressOf('logs')}?trace=${row.traceId}`}>lines</a> },
          ]} />
      )}</Loaded>
    </Panel>
  )
}
