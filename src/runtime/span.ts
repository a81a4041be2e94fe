/**
 * What is written down of a call while it runs: a trace, the part of it that happens in this
 * process, and its spans. Nothing here is worked out before somebody looks: ids, names and
 * attributes are made when a trace is read or exported (span-record.ts), for most are dropped.
 */
import { isTenfoldError } from '../base/errors.ts'
import { monotonicMs, now } from '../base/time.ts'
import { newSpanId, traceparentOf } from '../base/traceparent.ts'

/** What happened in a span. The first six begin a trace in a process. */
export type Happening =
  | 'request' | 'run' | 'handler' | 'batch' | 'job' | 'refresh' | 'schedule'
  | 'call' | 'attempt' | 'cache' | 'statement' | 'transaction' | 'commit' | 'claim' | 'memory' | 'inbox' | 'append' | 'position' | 'await' | 'invalidate'

export type CacheOutcome = 'hit' | 'stale' | 'miss' | 'wait'

/** Of a request; the status is known in the end. */
export interface RequestFacts { readonly method: string; readonly route: string; readonly address: string; readonly requestId: string; status: number }

/** Of what came through the outbox or the queue. */
export interface DeliveryFacts { readonly from: string; readonly messages: number; readonly messageId?: string; readonly attempt?: number }

/** So many spans of one trace are kept; of the others their number. */
export const spansMax = 250

export class Trace {
  readonly intent: string
  readonly traceId: string
  /** The span of another process, or of another trace's end, that this one goes on from. */
  readonly parentSpanId: string | null
  /** The caller's wish, or the sampler's decision: it is exported, and kept among the newest. */
  readonly isSampled: boolean
  readonly isRecording: boolean
  readonly spans: Span[] = []
  droppedSpans = 0
  isFailed = false

  constructor(intent: string, traceId: string, parentSpanId: string | null, isSampled: boolean, isRecording: boolean) {
    this.intent = intent
    this.traceId = traceId
    this.parentSpanId = parentSpanId
    this.isSampled = isSampled
    this.isRecording = isRecording
  }

  get root(): Span { return this.spans[0]! }
}

export class Span {
  readonly trace: Trace
  readonly parent: Span | null
  readonly what: Happening
  /** The intent or service it is about. */
  readonly about: string
  readonly startMs: number
  /** NaN while it runs. */
  endMs = NaN
  /** Of a statement, without values. */
  text = ''
  /** Rows of a statement, messages of an append; -1 when there is no such number. */
  count = -1
  /** Where a statement was answered, where there are several servers. */
  server: string | null = null
  cache: CacheOutcome | null = null
  facts: RequestFacts | DeliveryFacts | null = null
  /** traceparents of what led here besides the parent. */
  links: readonly string[] | null = null
  error: unknown = undefined
  #id: string | undefined

  constructor(trace: Trace, parent: Span | null, what: Happening, about: string) {
    this.trace = trace
    this.parent = parent
    this.what = what
    this.about = about
    this.startMs = trace.isRecording ? monotonicMs() : 0
  }

  get id(): string { return this.#id ??= newSpanId() }

  get traceparent(): string { return traceparentOf(this.trace.traceId, this.id, this.trace.isSampled) }

  /** A span within this one. */
  begin(what: Happening, about: string): Span {
    const { trace } = this
    if (!trace.isRecording) return this
    const span = new Span(trace, this, what, about)
    if (trace.spans.length < spansMax) trace.spans.push(span)
    else trace.droppedSpans++
    return span
  }

  end(): void {
    if (this.trace.isRecording) this.endMs = monotonicMs()
  }

  fail(error: unknown): void { this.error = error }

  /** The outcome of the work, with its time and failure written down. */
  async around<T>(work: Promise<T>): Promise<T> {
    if (!this.trace.isRecording) return work
    try {
      return await work
    } catch (error) {
      this.error = error
      throw error
    } finally {
      this.endMs = monotonicMs()
    }
  }
}

/** What was refused is answered well; only faults of this side are failures. */
export const isFailure = (error: unknown): boolean => error !== undefined && !(isTenfoldError(error) && error.status < 500)

/** What a failure is called: a code of the table, else the name of its class. */
export function errorCodeOf(error: unknown): string {
  if (isTenfoldError(error)) return error.code
  return error instanceof Error ? error.name : typeof error
}

/** What to add to a monotonic time for one since 1970. */
export const wallOffsetMs = (): number => now() - monotonicMs()
