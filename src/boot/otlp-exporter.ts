/**
 * Sends sampled traces to an OpenTelemetry collector. OpenTelemetry's own packages encode,
 * send and retry; the queue before them is bounded, made of traces as they ended, and what it
 * cannot hold is dropped and counted: a collector that is slow or gone costs requests nothing.
 */
import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags } from '@opentelemetry/api'
import type { HrTime, Link, SpanContext } from '@opentelemetry/api'
import { detectResources, resourceAttributesEnvDetector, resourceFromAttributes } from '@opentelemetry/resources'
import type { Resource } from '@opentelemetry/resources'
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace'
import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import type { Logger } from '../base/log.ts'
import { after, sleep } from '../base/time.ts'
import type { SpanRecord } from '../runtime/span-record.ts'
import { recordsOf } from '../runtime/span-record.ts'
import type { Trace } from '../runtime/span.ts'
import type { TraceExporter } from '../runtime/tracer.ts'
import { otlpSettingsOf } from './otlp-settings.ts'
import type { OtlpSettings, Protocol } from './otlp-settings.ts'

export interface OtlpExporter extends TraceExporter {
  /** Spans that were sent, and that were not: the queue was full, or the collector did not take them. */
  readonly counts: { readonly sent: number; readonly dropped: number }
}

export async function openOtlpExporter(service: string, log: Logger): Promise<OtlpExporter> {
  const settings = otlpSettingsOf(process.env, service)
  for (const complaint of settings.complaints) log.warn(complaint)
  return new Exporter(settings, await senderOf(settings.protocol), resourceOf(settings), log)
}

async function senderOf(protocol: Protocol): Promise<SpanExporter> {
  const { OTLPTraceExporter } = protocol === 'http/json' ? await import('@opentelemetry/exporter-trace-otlp-http') : await import('@opentelemetry/exporter-trace-otlp-proto')
  return new OTLPTraceExporter()
}

function resourceOf({ serviceName }: OtlpSettings): Resource {
  const { env } = process
  const here = resourceFromAttributes({ 'service.name': serviceName, 'service.instance.id': `${env.TENFOLD_PROCESS ?? 'app'}.${env.TENFOLD_REPLICA ?? '0'}`, 'process.pid': process.pid, 'telemetry.sdk.name': 'tenfold', 'telemetry.sdk.language': 'nodejs' })
  const given = here.merge(detectResources({ detectors: [resourceAttributesEnvDetector] }))
  return env.OTEL_SERVICE_NAME ? given.merge(resourceFromAttributes({ 'service.name': serviceName })) : given
}

const closeMs = 1_000

class Exporter implements OtlpExporter {
  readonly counts = { sent: 0, dropped: 0 }
  readonly #settings: OtlpSettings
  readonly #sender: SpanExporter
  readonly #resource: Resource
  readonly #log: Logger
  readonly #ratio: TraceIdRatioBasedSampler
  #queue: Trace[] = []
  #queuedSpans = 0
  #sending: Promise<void> | undefined
  #cancel: (() => void) | undefined
  #isDown = false

  constructor(settings: OtlpSettings, sender: SpanExporter, resource: Resource, log: Logger) {
    this.#settings = settings
    this.#sender = sender
    this.#resource = resource
    this.#log = log
    this.#ratio = new TraceIdRatioBasedSampler(settings.sampler.ratio)
  }

  samples(traceId: string, parent: boolean | undefined): boolean {
    const { name } = this.#settings.sampler
    if (name.startsWith('parentbased_') && parent !== undefined) return parent
    if (name.endsWith('ratio')) return this.#ratio.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED
    return name.endsWith('on')
  }

  add(trace: Trace): void {
    const { length } = trace.spans
    if (this.#queuedSpans + length > this.#settings.queueMax) {
      this.counts.dropped += length
      return
    }
    this.#queue.push(trace)
    this.#queuedSpans += length
    if (this.#sending) return
    if (this.#queuedSpans >= this.#settings.batchMax) this.#send()
    else this.#cancel ??= after(this.#settings.delayMs, () => this.#send(), true)
  }

  /** What is left is sent, as long as that is quick: a stop has its time. */
  async close(): Promise<void> {
    await Promise.race([this.#flush(), sleep(closeMs)])
  }

  async #flush(): Promise<void> {
    await this.#sending
    while (this.#queue.length > 0 && !this.#isDown) {
      this.#send()
      await this.#sending
    }
    await this.#sender.shutdown().catch(() => {})
  }

  /** One batch is under way at a time; what comes meanwhile waits in the queue. */
  #send(): void {
    this.#cancel?.()
    this.#cancel = undefined
    const spans: ReadableSpan[] = []
    let taken = 0
    for (; taken < this.#queue.length && spans.length < this.#settings.batchMax; taken++) {
      const trace = this.#queue[taken]!
      for (const record of recordsOf(trace)) spans.push(this.#readable(record, trace))
    }
    this.#queue = this.#queue.slice(taken)
    this.#queuedSpans = this.#queue.reduce((sum, trace) => sum + trace.spans.length, 0)
    this.#sending = new Promise<void>(resolve => {
      this.#sender.export(spans, ({ error, code }) => {
        // ExportResultCode.SUCCESS; the package that names it is one more to depend on.
        this.#heard(spans.length, code === 0 ? null : error ?? new Error('the collector refused them'))
        resolve()
      })
    }).then(() => {
      this.#sending = undefined
      if (this.#queue.length > 0) this.#cancel ??= after(this.#queuedSpans >= this.#settings.batchMax ? 0 : this.#settings.delayMs, () => this.#send(), true)
    })
  }

  #heard(spans: number, error: Error | null): void {
    if (error) this.counts.dropped += spans
    else this.counts.sent += spans
    if ((error !== null) === this.#isDown) return
    this.#isDown = error !== null
    if (error) this.#log.warn({ err: error, ...this.counts }, 'traces could not be exported; further ones are tried')
    else this.#log.info(this.counts, 'traces are exported again')
  }

  #readable(record: SpanRecord, trace: Trace): ReadableSpan {
    const traceFlags = trace.isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE
    const contextOf = (traceId: string, spanId: string): SpanContext => ({ traceId, spanId, traceFlags })
    const parent = record.parentSpanId === null ? undefined : contextOf(record.traceId, record.parentSpanId)
    return {
      name: record.name, kind: SpanKind[record.kind.toUpperCase() as 'SERVER'],
      spanContext: () => contextOf(record.traceId, record.spanId),
      ...parent ? { parentSpanContext: parent } : {},
      startTime: hrTimeOf(record.startMs), endTime: hrTimeOf(record.startMs + record.durationMs), duration: hrTimeOf(record.durationMs), ended: true,
      status: record.status === 'error' ? { code: SpanStatusCode.ERROR, message: record.message ?? '' } : { code: SpanStatusCode.UNSET },
      attributes: record.attributes, links: record.links.map(({ traceId, spanId }): Link => ({ context: contextOf(traceId, spanId) })), events: [],
      resource: this.#resource, instrumentationScope: { name: 'tenfold' },
      droppedAttributesCount: 0, droppedEventsCount: 0, droppedLinksCount: 0,
    }
  }
}

function hrTimeOf(milliseconds: number): HrTime {
  const seconds = Math.trunc(milliseconds / 1_000)
  return [seconds, Math.round((milliseconds - seconds * 1_000) * 1e6)]
}
