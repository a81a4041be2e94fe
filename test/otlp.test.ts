/** Export to a collector on loopback: what it is sent, that it is tried again, and that it never holds anybody up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { silentLogger } from '../src/base/log.ts'
import { sleep } from '../src/base/time.ts'
import { openOtlpExporter } from '../src/boot/otlp-exporter.ts'
import type { OtlpExporter } from '../src/boot/otlp-exporter.ts'
import { Tracer } from '../src/runtime/tracer.ts'
import { attributesOf, OtlpServer } from './support/otlp-server.ts'

const names = ['OTEL_EXPORTER_OTLP_ENDPOINT', 'OTEL_EXPORTER_OTLP_PROTOCOL', 'OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TIMEOUT', 'OTEL_SERVICE_NAME', 'OTEL_RESOURCE_ATTRIBUTES', 'OTEL_BSP_MAX_QUEUE_SIZE', 'OTEL_BSP_SCHEDULE_DELAY', 'OTEL_BSP_MAX_EXPORT_BATCH_SIZE', 'OTEL_TRACES_SAMPLER', 'OTEL_TRACES_SAMPLER_ARG']

async function collector(t: TestContext, more: Record<string, string> = {}) {
  const server = new OtlpServer()
  const url = await server.start()
  for (const name of names) delete process.env[name]
  Object.assign(process.env, { OTEL_EXPORTER_OTLP_ENDPOINT: url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '10', ...more })
  const exporter = await openOtlpExporter('conduit', silentLogger)
  t.after(async () => { await server.close(); for (const name of names) delete process.env[name] })
  return { server, exporter, tracer: new Tracer({ exporter }) }
}

function trace(tracer: Tracer, spans = 1): string {
  const root = tracer.begin('run', 'a.b')
  for (let at = 0; at < spans; at++) root.begin('statement', 'a.b').end()
  tracer.finish(root)
  return root.trace.traceId
}

async function until(isTrue: () => boolean, what: string): Promise<void> {
  for (let waits = 0; !isTrue(); waits++) {
    assert.ok(waits < 1_500, `not within 30 s: ${what}`)
    await sleep(20)
  }
}

const sent = (exporter: OtlpExporter, spans: number) => until(() => exporter.counts.sent >= spans, `${spans} spans are sent`)

test('spans arrive with their relations, kinds and times, and the resource of the deployment', async t => {
  const { server, exporter, tracer } = await collector(t, { OTEL_SERVICE_NAME: 'shop', OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test,service.name=other', OTEL_EXPORTER_OTLP_HEADERS: 'x-key=secret' })
  const request = tracer.begin('request', 'a.b', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')
  request.facts = { method: 'GET', route: '/a/:b', address: '/a/1?c=2', requestId: 'r', status: 500 }
  const append = request.begin('append', 'a')
  append.count = 1
  append.end()
  request.fail(new Error('broken'))
  tracer.finish(request)
  const job = tracer.consume('job', 'a.j', [append.traceparent])
  job.facts = { from: 'jobs', messages: 1, messageId: 'm', attempt: 2 }
  tracer.finish(job)
  await sent(exporter, 3)
  const [first, second, third] = server.spans
  assert.deepEqual([first!.name, first!.kind, first!.parentSpanId, first!.status.code], ['GET /a/:b', 2, 'b7ad6b7169203331', 2])
  assert.deepEqual([second!.kind, second!.parentSpanId], [4, first!.spanId])
  assert.deepEqual([third!.kind, third!.traceId, third!.parentSpanId, third!.links.map(link => link.spanId)], [5, first!.traceId, second!.spanId, [second!.spanId]])
  assert.ok(BigInt(first!.endTimeUnixNano) >= BigInt(first!.startTimeUnixNano) && Math.abs(Number(BigInt(first!.startTimeUnixNano) / 1_000_000n) - Date.now()) < 60_000)
  const { 'http.route': route, 'url.query': query, 'http.response.status_code': status } = attributesOf(first!.attributes)
  assert.deepEqual([route, query, Number(status)], ['/a/:b', 'c=2', 500])
  assert.deepEqual([server.resource['service.name'], server.resource['deployment.environment.name'], server.resource['service.instance.id']], ['shop', 'test', 'app.0'])
  assert.deepEqual([server.requests[0]!.url, server.requests[0]!.headers['x-key']], ['/v1/traces', 'secret'])
})

test('protobuf is what is sent unless told otherwise', async t => {
  const { server, exporter, tracer } = await collector(t, { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' })
  trace(tracer)
  await sent(exporter, 2)
  assert.equal(server.requests[0]!.headers['content-type'], 'application/x-protobuf')
})

test('429 and 503 are tried again, not before Retry-After; 400 is not', async t => {
  const { server, exporter, tracer } = await collector(t)
  for (const status of [429, 503]) {
    server.refusals.push({ status, headers: { 'retry-after': '1' } })
    const [before, already] = [server.requests.length, exporter.counts.sent]
    trace(tracer)
    await sent(exporter, already + 2)
    const [refused, taken] = server.requests.slice(before)
    assert.equal(refused!.status, status)
    assert.ok(taken!.atMs - refused!.atMs >= 990, 'it waited as long as it was told')
  }
  server.refusals.push({ status: 400 })
  trace(tracer)
  await until(() => exporter.counts.dropped === 2, 'what is refused for good is dropped and counted')
  assert.equal(server.spans.length, 4)
})

test('a collector that is silent or gone holds nobody up, and the queue is bounded', async t => {
  const { server, exporter, tracer } = await collector(t, { OTEL_BSP_MAX_QUEUE_SIZE: '100', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '50', OTEL_EXPORTER_OTLP_TIMEOUT: '1000' })
  server.isSilent = true
  for (let index = 0; index < 500; index++) trace(tracer, 4)
  assert.ok(exporter.counts.dropped >= 2_500 - 100 - 50, 'what neither the queue nor the batch under way can hold is dropped at once')
  await until(() => server.requests.length > 0, 'something was sent')
  const droppedBefore = exporter.counts.dropped
  await until(() => exporter.counts.dropped > droppedBefore, 'what is not taken in time is dropped')
  server.isSilent = false
  trace(tracer)
  await until(() => exporter.counts.sent > 0, 'it goes on when the collector is back')
  await until(() => exporter.counts.sent + exporter.counts.dropped === 2_502, 'every span is accounted for')
})

test('a stop sends what is left, and does not wait for a silent collector', async t => {
  const later = { OTEL_BSP_SCHEDULE_DELAY: '600000', OTEL_EXPORTER_OTLP_TIMEOUT: '120000' }
  const good = await collector(t, later)
  trace(good.tracer)
  assert.equal(good.server.spans.length, 0)
  await good.exporter.close()
  assert.equal(good.exporter.counts.sent, 2)
  const silent = await collector(t, later)
  silent.server.isSilent = true
  trace(silent.tracer)
  const startedAtMs = performance.now()
  await silent.exporter.close()
  assert.ok(performance.now() - startedAtMs < 60_000)
})

test('the sampler of the environment decides', async t => {
  for (const [name, arg, parent, expected] of [
    ['always_off', '', true, 0], ['always_on', '', false, 1_000], ['parentbased_always_on', '', false, 0], ['parentbased_always_off', '', undefined, 0],
    ['traceidratio', '0.5', false, 500], ['parentbased_traceidratio', '0.5', true, 1_000],
  ] as const) {
    const { exporter } = await collector(t, { OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: arg || '1' })
    let sampled = 0
    for (let index = 0; index < 1_000; index++) if (exporter.samples(new Tracer().begin('run', 'a.b').trace.traceId, parent)) sampled++
    assert.ok(Math.abs(sampled - expected) < 120, `${name} sampled ${sampled} of 1,000`)
  }
})
