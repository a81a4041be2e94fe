/**
 * Begins and ends the traces of this process. A run with one producer goes on with its trace;
 * one with producers of several traces begins its own and links to all. What ends is offered
 * to the ring, whatever the sampling says, and to the exporter if it was sampled.
 */
import { isSampled, newTraceId, spanIdOf, traceIdOf, validTraceparent } from '../base/traceparent.ts'
import { recordsOf } from './span-record.ts'
import { isFailure, Span, Trace } from './span.ts'
import type { Happening } from './span.ts'
import { TraceRing } from './trace-ring.ts'
import { answerTo } from './trace-report.ts'
import type { TraceQuestion } from './trace-report.ts'

export interface TraceExporter {
  /** The decision for a trace that begins here; `parent` is the caller's, undefined without a caller. */
  samples(traceId: string, parent: boolean | undefined): boolean
  add(trace: Trace): void
  close(): Promise<void>
}

export interface TracerOptions {
  /** False: nothing is written down; traceparents still go on. */
  readonly enabled?: boolean | undefined
  readonly exporter?: TraceExporter | null
  readonly ring?: TraceRing
}

/** So many producers a batch links to. */
const linksMax = 128

export class Tracer {
  readonly #enabled: boolean
  readonly #exporter: TraceExporter | null
  readonly #ring: TraceRing
  /** Calls of other intents under way, by the id of their span. */
  readonly #calls = new Map<string, Span>()

  constructor({ enabled = true, exporter = null, ring = new TraceRing() }: TracerOptions = {}) {
    this.#enabled = enabled
    this.#exporter = exporter
    this.#ring = ring
  }

  get exports(): boolean { return this.#exporter !== null }

  /** The first span of a trace in this process. */
  begin(what: Happening, intent: string, parent?: string): Span {
    const caller = validTraceparent(parent)
    const traceId = caller ? traceIdOf(caller) : newTraceId()
    const wish = caller ? isSampled(caller) : undefined
    const sampled = this.#exporter ? this.#exporter.samples(traceId, wish) : wish ?? false
    return rootOf(new Trace(intent, traceId, caller ? spanIdOf(caller) : null, sampled, this.#enabled), what)
  }

  /** The run of a handler, batch or job, for what these contexts produced. */
  consume(what: Happening, intent: string, contexts: readonly (string | undefined)[]): Span {
    const links = [...new Set(contexts.map(validTraceparent).filter(one => one !== undefined))]
    const isOfOne = links.length > 0 && links.every(one => traceIdOf(one) === traceIdOf(links[0]!))
    const span = isOfOne ? this.begin(what, intent, links[0]) : this.begin(what, intent)
    span.links = links.slice(0, linksMax)
    return span
  }

  /** A call of another intent leaves; the returned function says that its answer is there. */
  calls(span: Span): () => void {
    if (!span.trace.isRecording) return () => {}
    const { id } = span
    this.#calls.set(id, span)
    return () => { this.#calls.delete(id) }
  }

  /** A call arrives: within the trace of its caller when that runs here. */
  receive(intent: string, traceparent: string): Span {
    const caller = traceparent.length === 55 ? this.#calls.get(spanIdOf(traceparent)) : undefined
    return caller ? caller.begin('run', intent) : this.begin('run', intent, traceparent)
  }

  /** Ends a span; and its trace, when it is the first. */
  finish(span: Span, isFailed = isFailure(span.error)): void {
    const { trace } = span
    if (!trace.isRecording) return
    span.end()
    if (span.parent) return
    trace.isFailed = isFailed
    this.#ring.offer(trace)
    if (trace.isSampled) this.#exporter?.add(trace)
  }

  /** The outcome of what runs under a span that this then finishes. */
  async run<T>(span: Span, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      span.fail(error)
      throw error
    } finally {
      this.finish(span)
    }
  }

  answer(question: TraceQuestion): unknown { return answerTo(question, this.#ring.traces, recordsOf) }

  async close(): Promise<void> { await this.#exporter?.close() }
}

function rootOf(trace: Trace, what: Happening): Span {
  const span = new Span(trace, null, what, trace.intent)
  trace.spans.push(span)
  return span
}
