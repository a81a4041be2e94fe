/** One trace through the whole of topology 3: HAProxy, node, broker, worker, and a replica for what is read. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { Person } from '../realworld/own-cases.ts'
import { attributesOf } from '../support/otlp-server.ts'
import type { OtlpServer, OtlpSpan } from '../support/otlp-server.ts'
import { until } from './site.ts'
import type { Site } from './site.ts'

/** Sampled is only what comes with a sampled traceparent: the rest of the traffic would be most of what is sent. */
export const tracedBy = (endpoint: string) => ({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '100', OTEL_TRACES_SAMPLER: 'parentbased_always_off' }) as const

/** The kind of a request's span. */
const server = 2
const consumer = 5

const named = (span: OtlpSpan, intent: string) => attributesOf(span.attributes)['tenfold.intent'] === intent

/** All that was sent of one trace; of the whole deployment, whatever process it ran in. */
class Collected {
  readonly #collector: OtlpServer
  readonly #traceId: string

  constructor(collector: OtlpServer, traceId: string) {
    this.#collector = collector
    this.#traceId = traceId
  }

  get spans(): readonly OtlpSpan[] { return this.#collector.spans.filter(one => one.traceId === this.#traceId) }

  /** Spans whose parent has not been sent; the client's own never is. */
  orphans(clientSpanId: string): readonly OtlpSpan[] {
    const known = new Set([clientSpanId, ...this.spans.map(span => span.spanId)])
    return this.spans.filter(span => !known.has(span.parentSpanId!))
  }

  async waited(what: string, fits: (span: OtlpSpan) => boolean): Promise<OtlpSpan> {
    await until(() => this.spans.some(fits), `${what} is sent`)
    return this.spans.find(fits)!
  }
}

export async function traceThrough(t: TestContext, site: Site, collector: OtlpServer): Promise<void> {
  const { deployment } = site
  await t.test('a trace goes through HAProxy, node, broker and worker', async () => {
    const jane = new Person(deployment.url)
    await jane.register()
    const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')]
    const { status, body } = await jane.send('POST', '/articles', { article: { title: `Traced ${traceId}`, description: 'd', body: 'b' } }, { traceparent: `00-${traceId}-${spanId}-01` })
    assert.equal(status, 201)
    const trace = new Collected(collector, traceId)
    const request = await trace.waited('the request', span => span.name === 'POST /api/articles')
    assert.deepEqual([request.parentSpanId, request.kind], [spanId, server], 'HAProxy has passed the traceparent on as it was')
    assert.match(String(request.instance), /^web\./)
    const publish = await trace.waited('what went into the outbox', span => span.name === 'publish articles')
    const reaction = await trace.waited('the reaction', span => named(span, 'notifications.onPublished') && span.kind === consumer)
    const job = await trace.waited('the job', span => named(span, 'notifications.announce') && span.kind === consumer)
    for (const one of [reaction, job]) assert.match(String(one.instance), /^worker\./)
    // Nothing but the broker leads from the outbox to a consumer on this topology.
    assert.ok(reaction.links.some(link => link.spanId === publish.spanId && link.traceId === traceId), 'the reaction is linked to what was published')
    const again = await trace.waited('what the reaction published', span => span.name === 'publish notifications')
    assert.ok(job.links.some(link => link.spanId === again.spanId), 'the job is linked to what the reaction published')
    await trace.waited('the read model', span => span.name === 'process feed.entries')
    await until(() => trace.orphans(spanId).length === 0, 'every span has its parent')

    await until(() => site.isWhole(), 'replicas follow', 120_000)
    const slug = body.article.slug as string
    // Kept answers are read once: each time another page.
    const servers = new Set<unknown>()
    for (let offset = 0; ![...servers].some(one => one !== 'primary'); offset++) {
      assert.ok(offset < 100, 'no query is read on a replica')
      const id = randomBytes(16).toString('hex')
      await fetch(`${deployment.url}/api/articles?limit=1&offset=${offset}`, { headers: { traceparent: `00-${id}-${spanId}-01` } })
      const select = await new Collected(collector, id).waited('the statement', span => span.name.startsWith('SELECT') && named(span, 'articles.list'))
      servers.add(attributesOf(select.attributes)['tenfold.database.server'])
    }
    assert.ok((await fetch(`${deployment.url}/api/articles/${slug}`)).ok)
  })

  await t.test('who sends no traceparent gets a trace that the node begins', async () => {
    const before = collector.spans.length
    assert.equal((await fetch(`${deployment.url}/api/tags`)).status, 200)
    const answer = await fetch(`${deployment.url}/api/articles/nowhere-${randomBytes(4).toString('hex')}`)
    assert.equal(answer.status, 404)
    await sleep(500)
    assert.equal(collector.spans.slice(before).filter(span => span.name.includes('/api/tags')).length, 0, 'negative control: without a sampled traceparent nothing is sent')
    const traces = await (await fetch(`${deployment.adminUrl}/traces`)).json() as unknown
    assert.match(JSON.stringify(traces), /[0-9a-f]{32}/)
  })
}
