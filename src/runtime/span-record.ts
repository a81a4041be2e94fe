/** Spans as others read them: names, kinds and attributes after OpenTelemetry's semantic conventions. */
import { spanIdOf, traceIdOf } from '../base/traceparent.ts'
import { errorCodeOf, isFailure, wallOffsetMs } from './span.ts'
import type { DeliveryFacts, Happening, RequestFacts, Span, Trace } from './span.ts'

export type SpanKind = 'internal' | 'server' | 'client' | 'producer' | 'consumer'
export type Attributes = Record<string, string | number | boolean | string[]>

export interface SpanRecord {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | null
  readonly name: string
  readonly kind: SpanKind
  /** Milliseconds since 1970, with fractions. */
  readonly startMs: number
  readonly durationMs: number
  readonly status: 'ok' | 'error'
  /** Of the failure. */
  readonly code: string | null
  readonly message: string | null
  readonly attributes: Attributes
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
}

const textCharactersMax = 4_000
const messageCharactersMax = 500
/** Statements carry the mark of their intent; the span names it already. */
const markPattern = / \/\*intent='[^']*'\*\/$/

export function recordsOf(trace: Trace): SpanRecord[] {
  const offsetMs = wallOffsetMs()
  const untilMs = Number.isNaN(trace.root.endMs) ? trace.root.startMs : trace.root.endMs
  return trace.spans.map(span => recordOf(span, offsetMs, untilMs))
}

function recordOf(span: Span, offsetMs: number, untilMs: number): SpanRecord {
  const { trace, parent } = span
  const isOver = !Number.isNaN(span.endMs)
  const code = span.error === undefined ? null : errorCodeOf(span.error)
  const isFailed = isFailure(span.error)
  return {
    traceId: trace.traceId, spanId: span.id, parentSpanId: parent ? parent.id : trace.parentSpanId,
    name: nameOf(span), kind: kinds[span.what],
    startMs: span.startMs + offsetMs, durationMs: Math.max(0, (isOver ? span.endMs : untilMs) - span.startMs),
    status: isFailed ? 'error' : 'ok', code, message: code === null ? null : messageOf(span.error),
    attributes: {
      ...attributesOf(span),
      ...code !== null && isFailed ? { 'error.type': code } : {},
      ...isOver ? {} : { 'tenfold.unfinished': true },
      ...parent === null && trace.droppedSpans > 0 ? { 'tenfold.spans.dropped': trace.droppedSpans } : {},
    },
    links: (span.links ?? []).map(link => ({ traceId: traceIdOf(link), spanId: spanIdOf(link) })),
  }
}

const kinds: Readonly<Record<Happening, SpanKind>> = {
  request: 'server', run: 'server', handler: 'consumer', batch: 'consumer', job: 'consumer', refresh: 'internal', schedule: 'internal',
  call: 'client', attempt: 'internal', cache: 'internal', statement: 'client', transaction: 'internal', commit: 'client',
  claim: 'client', memory: 'client', inbox: 'client', append: 'producer', position: 'client', await: 'internal', invalidate: 'internal',
}

function nameOf({ what, about, text, facts }: Span): string {
  if (what === 'request') return `${(facts as RequestFacts).method} ${(facts as RequestFacts).route}`
  if (what === 'statement') return `${operationOf(text)} ${about}`
  if (what === 'handler' || what === 'batch' || what === 'job') return `process ${about}`
  if (what === 'append') return `publish ${about}`
  if (what === 'commit') return 'COMMIT'
  if (what === 'call' || what === 'run') return about
  return `${what} ${about}`
}

const operationOf = (text: string): string => /^\s*(\w+)/.exec(text)?.[1]?.toUpperCase() ?? 'SQL'

function attributesOf(span: Span): Attributes {
  const { what, about, facts } = span
  switch (what) {
    case 'request': return requestAttributes(about, facts as RequestFacts)
    case 'run': case 'call': return { 'rpc.system.name': 'tenfold', 'rpc.method': about }
    case 'handler': case 'batch': case 'job': return deliveryAttributes(about, facts as DeliveryFacts)
    case 'statement': return { ...database, 'db.operation.name': operationOf(span.text), 'db.query.text': textOf(span), ...span.server === null ? {} : { 'tenfold.database.server': span.server }, ...rowsOf(span), ...sqlStateOf(span), 'tenfold.intent': about }
    case 'transaction': return { ...database, 'db.namespace': about, ...span.count < 0 ? {} : { 'tenfold.transaction.wait_ms': span.count } }
    case 'commit': return { ...database, 'db.namespace': about, 'db.operation.name': 'COMMIT' }
    case 'claim': case 'memory': case 'inbox': case 'position': return database
    case 'append': return { 'messaging.system': 'tenfold', 'messaging.operation.name': 'publish', 'messaging.operation.type': 'send', 'messaging.destination.name': 'outbox', ...span.count < 0 ? {} : { 'messaging.batch.message_count': span.count } }
    case 'cache': return { 'tenfold.intent': about, ...span.cache ? { 'tenfold.cache.outcome': span.cache } : {} }
    case 'attempt': return { 'tenfold.attempt': span.count }
    default: return { 'tenfold.intent': about }
  }
}

const database = { 'db.system.name': 'postgresql' } as const

function requestAttributes(intent: string, { method, route, address, requestId, status }: RequestFacts): Attributes {
  const at = address.indexOf('?')
  return {
    'http.request.method': method, 'http.route': route, 'url.scheme': 'http', 'url.path': at < 0 ? address : address.slice(0, at),
    ...at < 0 ? {} : { 'url.query': address.slice(at + 1) },
    'http.response.status_code': status, 'tenfold.intent': intent, 'tenfold.request.id': requestId,
  }
}

function deliveryAttributes(intent: string, { from, messages, messageId, attempt }: DeliveryFacts): Attributes {
  return {
    'messaging.system': 'tenfold', 'messaging.operation.name': 'process', 'messaging.operation.type': 'process',
    'messaging.destination.name': from, 'messaging.consumer.group.name': intent, 'tenfold.intent': intent,
    ...messages > 1 ? { 'messaging.batch.message_count': messages } : {},
    ...messageId === undefined ? {} : { 'messaging.message.id': messageId },
    ...attempt === undefined ? {} : { 'tenfold.attempt': attempt },
  }
}

const textOf = ({ text }: Span): string => text.replace(markPattern, '').trim().slice(0, textCharactersMax)
const rowsOf = ({ count }: Span): Attributes => count < 0 ? {} : { 'db.response.returned_rows': count }

/** SQLSTATE, where the engine gave one. */
function sqlStateOf({ error }: Span): Attributes {
  const { cause = error } = (error ?? {}) as { cause?: unknown }
  const { code } = (cause ?? {}) as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? { 'db.response.status_code': code } : {}
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, messageCharactersMax)
