/** A trace as a waterfall: its spans below each other, indented by who called whom, each as long as it took. */
import { useState } from 'react'
import type { ProcessSpan, TraceDetail } from './shapes.ts'
import { milliseconds } from './format.ts'
import { Empty, Loaded } from './notice.tsx'
import { Code } from './panel.tsx'
import { useResource } from './resource.ts'

interface Row { readonly span: ProcessSpan; readonly depth: number }

/** Parents before their children, those in the order of their start. */
export function rowsOf(spans: readonly ProcessSpan[]): Row[] {
  const known = new Set(spans.map(one => one.spanId))
  const children = Map.groupBy(spans, one => one.parentSpanId !== null && known.has(one.parentSpanId) ? one.parentSpanId : '')
  const rows: Row[] = []
  const walk = (parent: string, depth: number) => {
    for (const span of [...children.get(parent) ?? []].sort((a, b) => a.startMs - b.startMs)) {
      rows.push({ span, depth })
      walk(span.spanId, depth + 1)
    }
  }
  walk('', 0)
  return rows
}

export function Waterfall({ traceId }: { traceId: string }) {
  const trace = useResource<TraceDetail>(`/traces/${encodeURIComponent(traceId)}`)
  return (
    <Loaded of={trace} what="the trace">{({ spans, linked }) => (
      <div className="waterfall">
        {spans.length === 0 ? <Empty>It has no spans.</Empty> : <Spans spans={spans} label={`Spans of trace ${traceId}`} />}
        {linked.length > 0 && <><h4>What it led to</h4><Spans spans={linked} label="Spans of traces that follow from it" /></>}
      </div>
    )}</Loaded>
  )
}

function Spans({ spans, label }: { spans: readonly ProcessSpan[]; label: string }) {
  const [open, setOpen] = useState<string | null>(null)
  const from = Math.min(...spans.map(one => one.startMs))
  const wholeMs = Math.max(0.001, Math.max(...spans.map(one => one.startMs + one.durationMs)) - from)
  return (
    <ol className="spans" aria-label={label}>
      {rowsOf(spans).map(({ span, depth }) => (
        <li key={span.spanId}>
          <button type="button" className="span" aria-expanded={open === span.spanId} onClick={() => setOpen(open === span.spanId ? null : span.spanId)}>
            <span className="span-name" style={{ paddingLeft: Math.min(depth, 8) * 14 }}>{span.name}</span>
            <span className="span-line" aria-hidden="true">
              <i className={span.status === 'error' ? 'bad' : span.kind} style={{ left: `${(span.startMs - from) / wholeMs * 100}%`, width: `max(2px, ${span.durationMs / wholeMs * 100}%)` }} />
            </span>
            <span className="span-time">{milliseconds(span.durationMs)}</span>
          </button>
          {open === span.spanId && <SpanFacts span={span} from={from} />}
        </li>
      ))}
    </ol>
  )
}

function SpanFacts({ span: { attributes, startMs, code, message, kind, process }, from }: { span: ProcessSpan; from: number }) {
  const { 'db.query.text': sql, ...rest } = attributes
  return (
    <div className="span-facts">
      {code && <p className="bad-text">{code}: {message}</p>}
      {typeof sql === 'string' && <Code text={sql} label="statement" />}
      <dl>
        <div><dt>begins after</dt><dd>{milliseconds(startMs - from)}</dd></div>
        <div><dt>kind</dt><dd>{kind}</dd></div>
        <div><dt>process</dt><dd>{process}</dd></div>
        {Object.entries(rest).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{String(value)}</dd></div>)}
      </dl>
    </div>
  )
}
