/** What traces keep and how they go on: the ring's bounds, links of batches, names and attributes, sampling of a caller. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fault } from '../../src/base/errors.ts'
import { installClock, systemClock } from '../../src/base/time.ts'
import { otlpSettingsOf, isExportWanted } from '../../src/boot/otlp-settings.ts'
import { recordsOf } from '../../src/runtime/span-record.ts'
import { spansMax } from '../../src/runtime/span.ts'
import { TraceRing } from '../../src/runtime/trace-ring.ts'
import type { TraceDetail } from '../../src/runtime/trace-report.ts'
import { Tracer } from '../../src/runtime/tracer.ts'
import type { TraceExporter } from '../../src/runtime/tracer.ts'

const caller = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const other = '00-1bf7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00'

test('of each intent the slowest and the newest failed are kept, and a slow one gives way in the end', t => {
  let atMs = 0
  t.after(installClock({ ...systemClock, monotonicMs: () => atMs }))
  const ring = new TraceRing({ slowestMax: 2, failedMax: 2, slowMs: 1_000 })
  const tracer = new Tracer({ ring })
  const run = (intent: string, durationMs: number, error?: unknown) => {
    const span = tracer.begin('run', intent)
    atMs += durationMs
    span.fail(error)
    tracer.finish(span)
    return span.trace
  }
  const [, slow, slower] = [run('a.b', 1), run('a.b', 30), run('a.b', 20)]
  assert.deepEqual(new Set(ring.traces), new Set([slow, slower]))
  const failed = [1, 2, 3].map(() => run('a.b', 1, new Error('broken')))
  assert.deepEqual(new Set(ring.traces), new Set([slow, slower, ...failed.slice(1)]))
  run('a.b', 1, fault('NOT_FOUND'))
  assert.equal(ring.traces.length, 4, 'a refusal is no failure')
  const alone = run('a.c', 1)
  assert.ok(ring.traces.includes(alone), 'each intent has its own')
  atMs += 2_000
  const quick = run('a.b', 1)
  assert.ok(ring.traces.includes(quick) && !ring.traces.includes(slow!), 'what is old is no longer the slowest')
})

test('the ring and each trace are bounded', () => {
  const ring = new TraceRing({ bytesMax: 200_000 })
  const tracer = new Tracer({ ring })
  for (let index = 0; index < 500; index++) {
    const span = tracer.begin('run', `a.${index % 50}`)
    for (let at = 0; at < spansMax + 50; at++) span.begin('statement', 'a.b').end()
    span.fail(new Error('broken'))
    tracer.finish(span)
    assert.ok(ring.bytes <= 200_000)
  }
  assert.ok(ring.traces.length >= 2)
  const records = recordsOf(ring.traces[0]!)
  assert.equal(records.length, spansMax)
  assert.equal(records[0]!.attributes['tenfold.spans.dropped'], 51)
})

test('a run of one producer goes on with its trace; one of several begins its own and links to all', () => {
  const tracer = new Tracer()
  const one = tracer.consume('handler', 'a.b', [caller])
  assert.deepEqual([one.trace.traceId, one.trace.parentSpanId, one.links], ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331', [caller]])
  const batch = tracer.consume('batch', 'a.b', [caller, other, undefined, caller])
  batch.facts = { from: 'a.e', messages: 4 }
  tracer.finish(batch)
  assert.equal(recordsOf(batch.trace)[0]!.links.length, 2)
  assert.notEqual(batch.trace.traceId, one.trace.traceId)
  const { spans, linked } = tracer.answer({ traceId: one.trace.traceId }) as TraceDetail
  assert.deepEqual([spans.length, linked.length], [0, 1], 'whoever asks for the producer finds the batch')
})

test('a traceparent that is none begins a new trace', () => {
  const tracer = new Tracer()
  for (const text of ['', '00-1', `${caller}-more`, caller.replace('00-', 'ff-'), '00-00000000000000000000000000000000-b7ad6b7169203331-01']) assert.equal(tracer.begin('run', 'a.b', text).trace.parentSpanId, null, text)
  assert.equal(tracer.begin('run', 'a.b', caller).trace.isSampled, true)
  assert.equal(tracer.begin('run', 'a.b', other).trace.isSampled, false)
})

test('the exporter gets what it samples, and the ring the slow whatever it says', () => {
  const sent: string[] = []
  const exporter: TraceExporter = { samples: (_, parent) => parent ?? false, add: trace => { sent.push(trace.traceId) }, close: async () => {} }
  const ring = new TraceRing()
  const tracer = new Tracer({ exporter, ring })
  for (const parent of [caller, other, undefined]) tracer.finish(tracer.begin('run', 'a.b', parent))
  assert.deepEqual(sent, ['0af7651916cd43dd8448eb211c80319c'])
  assert.equal(ring.traces.length, 3)
})

test('switched off, nothing is kept and traceparents still go on', () => {
  const ring = new TraceRing()
  const tracer = new Tracer({ enabled: false, ring })
  const span = tracer.begin('run', 'a.b', caller)
  assert.equal(span.begin('call', 'a.c'), span)
  tracer.finish(span)
  assert.equal(ring.traces.length, 0)
  assert.match(span.traceparent, /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
})

test('a statement tells its text without mark or values, and its SQLSTATE', () => {
  const tracer = new Tracer()
  const span = tracer.begin('run', 'a.b')
  const statement = span.begin('statement', 'a.b')
  statement.text = `\n  select 1 where x = $1 /*intent='a.b'*/`
  statement.fail(Object.assign(new Error('duplicate'), { code: '23505' }))
  statement.end()
  tracer.finish(span)
  const { name, kind, attributes, status } = recordsOf(span.trace)[1]!
  assert.deepEqual([name, kind, status, attributes['db.query.text'], attributes['db.response.status_code'], attributes['error.type']], ['SELECT a.b', 'client', 'error', 'select 1 where x = $1', '23505', 'Error'])
})

test('the standard variables decide whether, how and what is exported', () => {
  const endpoint = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318' }
  assert.equal(isExportWanted({}), false)
  assert.equal(isExportWanted(endpoint), true)
  assert.equal(isExportWanted({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://127.0.0.1/v1/traces' }), true)
  assert.equal(isExportWanted({ ...endpoint, OTEL_SDK_DISABLED: 'True' }), false)
  assert.equal(isExportWanted({ ...endpoint, OTEL_TRACES_EXPORTER: 'none' }), false)
  const standard = otlpSettingsOf({}, 'conduit')
  assert.deepEqual([standard.protocol, standard.sampler, standard.serviceName, standard.complaints], ['http/protobuf', { name: 'parentbased_always_on', ratio: 1 }, 'conduit', []])
  const given = otlpSettingsOf({ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.25', OTEL_SERVICE_NAME: 'shop', OTEL_BSP_MAX_QUEUE_SIZE: 'many' }, 'conduit')
  assert.deepEqual([given.protocol, given.sampler, given.serviceName, given.queueMax], ['http/protobuf', { name: 'traceidratio', ratio: 0.25 }, 'shop', 2_048])
  assert.equal(given.complaints.length, 2)
})
