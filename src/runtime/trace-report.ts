/** What is told about kept traces: by each process for itself, then put together for all. */
import { traceIdOf } from '../base/traceparent.ts'
import { errorCodeOf, wallOffsetMs } from './span.ts'
import type { RequestFacts, Trace } from './span.ts'
import type { SpanRecord } from './span-record.ts'

export interface TraceFilter {
  readonly intent?: string | undefined
  readonly failed?: boolean | undefined
  readonly limit: number
}

/** The list, or one trace. */
export type TraceQuestion = { readonly filter: TraceFilter } | { readonly traceId: string }

/** The part of a trace that ran in one process. */
export interface TraceSummary {
  readonly traceId: string
  readonly intent: string
  readonly what: string
  /** Milliseconds since 1970. */
  readonly startMs: number
  readonly startedAt: string
  readonly durationMs: number
  readonly failed: boolean
  /** Of the answer to a request; null of other runs. */
  readonly status: number | null
  /** Of the refusal or failure. */
  readonly code: string | null
  readonly process: string
  readonly spans: number
}

export interface TraceDetail {
  readonly traceId: string
  readonly spans: readonly ProcessSpan[]
  /** Spans of other traces that link to this one: batches that handled what it produced, with that of others. */
  readonly linked: readonly ProcessSpan[]
}

export type ProcessSpan = SpanRecord & { readonly process: string }

type Told<T> = readonly { readonly process: string; readonly answer: T }[]

export function answerTo(question: TraceQuestion, traces: readonly Trace[], recordsOf: (trace: Trace) => SpanRecord[]): unknown {
  if ('filter' in question) return summariesOf(question.filter, traces)
  const { traceId } = question
  return {
    spans: traces.filter(one => one.traceId === traceId).flatMap(recordsOf),
    linked: traces.filter(one => one.traceId !== traceId && one.root.links?.some(link => traceIdOf(link) === traceId)).flatMap(recordsOf),
  }
}

function summariesOf({ intent, failed, limit }: TraceFilter, traces: readonly Trace[]): Omit<TraceSummary, 'process'>[] {
  const offsetMs = wallOffsetMs()
  return traces
    .filter(one => (intent === undefined || one.intent === intent) && (failed === undefined || one.isFailed === failed))
    .slice(-limit).map(trace => summaryOf(trace, offsetMs))
}

function summaryOf(trace: Trace, offsetMs: number): Omit<TraceSummary, 'process'> {
  const { root } = trace
  const startMs = root.startMs + offsetMs
  return {
    traceId: trace.traceId, intent: trace.intent, what: root.what, startMs, startedAt: new Date(startMs).toISOString(), durationMs: root.endMs - root.startMs,
    failed: trace.isFailed, status: root.what === 'request' ? (root.facts as RequestFacts).status : null,
    code: root.error === undefined ? null : errorCodeOf(root.error), spans: trace.spans.length + trace.droppedSpans,
  }
}

/** Newest first. */
export function mergeSummaries(told: Told<readonly Omit<TraceSummary, 'process'>[]>, { limit }: TraceFilter): TraceSummary[] {
  return told.flatMap(({ process, answer }) => answer.map(one => ({ ...one, process })))
    .sort((one, other) => other.startMs - one.startMs).slice(0, limit)
}

/** By start; null when nobody has kept anything of it. */
export function mergeDetails(traceId: string, told: Told<{ readonly spans: readonly SpanRecord[]; readonly linked: readonly SpanRecord[] }>): TraceDetail | null {
  const all = (pick: 'spans' | 'linked'): ProcessSpan[] => told
    .flatMap(({ process, answer }) => answer[pick].map(span => ({ ...span, process }))).sort((one, other) => one.startMs - other.startMs)
  const [spans, linked] = [all('spans'), all('linked')]
  return spans.length + linked.length === 0 ? null : { traceId, spans, linked }
}
