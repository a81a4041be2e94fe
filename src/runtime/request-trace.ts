/** The trace of one request over HTTP, and its lines in the log: failed and slow ones always, the rest at debug. */
import type { TenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { monotonicMs } from '../base/time.ts'
import type { HttpAnswer, HttpRequest } from '../ports/ingress.ts'
import { one } from './request.ts'
import type { RequestFacts, Span } from './span.ts'
import type { IntentMeter } from './intent-meter.ts'
import type { Target } from './target.ts'
import type { Tracer } from './tracer.ts'

export class RequestTrace {
  readonly span: Span
  readonly facts: RequestFacts
  readonly #log: Logger
  readonly #tracer: Tracer
  readonly #meter: IntentMeter | null

  constructor({ tracer, log }: { readonly tracer: Tracer; readonly log: Logger }, { intent, route, meter }: Target, { method, address, headers }: HttpRequest, requestId: string) {
    this.#tracer = tracer
    this.#log = log
    this.#meter = meter
    this.span = tracer.begin('request', intent.name, one(headers['traceparent']))
    this.span.facts = this.facts = { method, route, address, requestId, status: 0 }
  }

  /** The answer is there. */
  end(answer: HttpAnswer, error?: TenfoldError): HttpAnswer {
    const { span, facts } = this
    facts.status = answer.status
    span.error = error
    // What an application makes of an error does not make it a success.
    const isFailed = answer.status >= 500 || (error !== undefined && error.status >= 500)
    this.#tracer.finish(span, isFailed)
    if (span.trace.isRecording) this.#meter?.resided(span.trace)
    const tookMs = (span.trace.isRecording ? span.endMs : monotonicMs()) - span.startMs
    if (isFailed && error?.code !== 'OVERLOADED') this.#log.error({ ...this.#line(tookMs), code: error?.code, err: error?.cause ?? error }, 'request failed')
    else if (span.trace.isRecording && tookMs >= limits.slowRequestMs) this.#log.warn({ ...this.#line(tookMs), code: error?.code }, 'slow request')
    else if (this.#log.isLevelEnabled('debug')) this.#log.debug({ ...this.#line(tookMs), code: error?.code }, error ? 'request refused' : 'request')
    return answer
  }

  #line(tookMs: number): Record<string, unknown> {
    const { span, facts: { method, route, status, requestId } } = this
    return { intent: span.about, requestId, traceId: span.trace.traceId, method, route, status, durationMs: Math.round(tookMs * 10) / 10 }
  }
}
