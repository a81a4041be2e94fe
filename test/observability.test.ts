/** A deployment seen from outside: one article in one trace through all processes, what is kept, and the log as one stream. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { sleep } from '../src/base/time.ts'
import type { LogLine } from '../src/boot/log-line.ts'
import type { ProcessSpan, TraceDetail, TraceSummary } from '../src/runtime/trace-report.ts'
import { startDeployment } from './support/deployment.ts'
import type { TestDeployment } from './support/deployment.ts'
import { attributesOf, OtlpServer } from './support/otlp-server.ts'

const root = path.resolve(import.meta.dirname, '..')
const traceId = '0af7651916cd43dd8448eb211c80319c'
const traceparent = `00-${traceId}-b7ad6b7169203331-01`

async function until<T>(ask: () => Promise<T | null>, what: string): Promise<T> {
  for (let waits = 0; ; waits++) {
    const found = await ask()
    if (found !== null) return found
    assert.ok(waits < 300, `not within 30 s: ${what}`)
    await sleep(100)
  }
}

async function call<T>(url: string, method = 'GET', body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, { method, headers: { ...headers, ...body ? { 'content-type': 'application/json' } : {} }, ...body ? { body: JSON.stringify(body) } : {} })
  return await response.json() as T
}

async function writeArticle({ url }: TestDeployment, headers: Record<string, string>): Promise<void> {
  const { user } = await call<{ user: { token: string } }>(`${url}/api/users`, 'POST', { user: { username: 'jane', email: 'jane@example.com', password: 'secret123' } }, headers)
  const { article } = await call<{ article: { slug: string } }>(`${url}/api/articles`, 'POST', { article: { title: 'one', description: 'd', body: 'b', tagList: ['a'] } }, { authorization: `Token ${user.token}`, ...headers })
  await call(`${url}/api/articles/${article.slug}/comments`, 'POST', { comment: { body: 'c' } }, { authorization: `Token ${user.token}`, ...headers })
}

const intentOf = (span: ProcessSpan) => span.attributes['tenfold.intent']

/** Nothing here is above them. What handles several runs at once begins a trace of its own and links to theirs. */
const hanging = (spans: readonly ProcessSpan[]) => spans.filter(span =>
  span.parentSpanId === null ? span.links.length === 0 : span.parentSpanId !== 'b7ad6b7169203331' && !spans.some(one => one.spanId === span.parentSpanId))

/** The whole of it: waits for what happens after the answer, and for what began it, which may end later. */
const wholeTrace = ({ adminUrl }: TestDeployment): Promise<readonly ProcessSpan[]> => until(async () => {
  const { spans = [], linked = [] } = await call<Partial<TraceDetail>>(`${adminUrl}/traces/${traceId}`)
  const all = [...spans, ...linked]
  return ['notifications.welcomeMail', 'notifications.announce', 'articles.tagUses', 'feed.entries', 'articles.authors'].every(name => all.some(span => span.kind === 'consumer' && intentOf(span) === name))
    && hanging(all).length === 0 ? all : null
}, 'handlers, projections and jobs of the trace')

test('an article is one trace through every process, and its lines are one stream', async t => {
  const deployment = await startDeployment({ topology: '2-tuned', env: { LOG_LEVEL: 'debug' } })
  t.after(() => deployment.close())
  await writeArticle(deployment, { traceparent })
  const spans = await wholeTrace(deployment)
  const byId = new Map(spans.map(span => [span.spanId, span]))
  const find = (name: string, intent?: string) => spans.find(span => span.name === name && (intent === undefined || intentOf(span) === intent))!

  await t.test('the request goes on from the caller, and everything below it from the request', () => {
    const request = find('POST /api/articles')
    assert.deepEqual([request.parentSpanId, request.kind, request.status, request.attributes['http.response.status_code']], ['b7ad6b7169203331', 'server', 'ok', 201])
    assert.match(request.process, /^web\.\d+$/)
    assert.deepEqual(hanging(spans), [])
    const rootOf = (span: ProcessSpan): ProcessSpan => byId.has(span.parentSpanId!) && byId.get(span.parentSpanId!)!.process === span.process ? rootOf(byId.get(span.parentSpanId!)!) : span
    for (const name of ['transaction articles', 'publish articles', 'position log', 'INSERT articles.publish', 'COMMIT']) {
      assert.ok(spans.some(span => span.name === name && rootOf(span) === request), `${name} is below the request`)
    }
    assert.equal(rootOf(find('claim username')).name, 'POST /api/users')
  })

  await t.test('statements are there without values', () => {
    const { name, attributes, kind } = spans.find(span => /INSERT INTO article .*\$10/s.test(String(span.attributes['db.query.text'])))!
    assert.deepEqual([name, kind, attributes['db.system.name'], attributes['db.operation.name']], ['WITH articles.publish', 'client', 'postgresql', 'WITH'])
    assert.ok(!JSON.stringify(spans).includes('secret123') && !JSON.stringify(spans).includes('jane@example.com'))
  })

  await t.test('handlers, projections and jobs link to what produced them, in other processes', () => {
    const publishing = spans.filter(span => span.kind === 'producer').map(span => span.spanId)
    for (const span of spans.filter(one => one.kind === 'consumer')) {
      assert.ok(span.links.length > 0 && span.links.every(link => publishing.includes(link.spanId)), `${span.name} links to its producers`)
      assert.equal(span.process, 'worker.0')
    }
    const published = spans.find(span => span.name === 'publish notifications')!.spanId
    assert.ok(find('process notifications.announce').links.some(link => link.spanId === published))
    assert.equal(find('process notifications.announce').attributes['tenfold.attempt'], 1)
  })

  await t.test('a call of another service and a kept answer', async () => {
    const called = find('accounts.people')
    const answering = spans.find(span => span.name === 'accounts.people' && span.kind === 'server')!
    assert.deepEqual([called.kind, answering.parentSpanId], ['client', called.spanId])
    const outcomes = new Set<unknown>()
    await until(async () => {
      await call(`${deployment.url}/api/tags`, 'GET', undefined, { traceparent })
      const { spans: now } = await call<TraceDetail>(`${deployment.adminUrl}/traces/${traceId}`)
      for (const span of now) if (span.name === 'cache articles.tags') outcomes.add(span.attributes['tenfold.cache.outcome'])
      return outcomes.has('hit') && outcomes.has('miss') ? outcomes : null
    }, 'a miss and a hit')
  })

  await t.test('the list filters; an unknown trace is 404', async () => {
    const all = await call<TraceSummary[]>(`${deployment.adminUrl}/traces`)
    assert.ok(all.length > 5 && all.every((one, at) => at === 0 || one.startMs <= all[at - 1]!.startMs), 'newest first')
    for (const page of ['traces', 'logs', 'logs?follow=1']) {
      const refused = await fetch(`${deployment.adminUrl}/${page}${page.includes('?') ? '&' : '?'}limit=many`)
      assert.deepEqual([refused.status, (await refused.json() as { message: string }).message.slice(0, 15)], [400, "limit is 'many'"], page)
    }
    const some = await call<TraceSummary[]>(`${deployment.adminUrl}/traces?intent=articles.publish&failed=0&limit=1`)
    assert.deepEqual(some.map(({ intent, status, failed, code, what }) => ({ intent, status, failed, code, what })), [{ intent: 'articles.publish', status: 201, failed: false, code: null, what: 'request' }])
    assert.equal((await fetch(`${deployment.adminUrl}/traces/${'1'.repeat(32)}`)).status, 404)
    assert.deepEqual(await call(`${deployment.adminUrl}/traces?failed=1`), [])
  })

  await t.test('tenfold logs finds the lines of a trace in all processes, afterwards too', async () => {
    const logs = async (...argv: string[]) => (await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'logs', ...argv], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder } })).stdout
    const lines = (text: string) => text.trim().split('\n').filter(Boolean).map(line => JSON.parse(line) as LogLine)
    const own = lines(await logs('--trace', traceId, '--json'))
    assert.deepEqual(new Set(own.map(line => line.process!.split('.')[0])), new Set(['web', 'worker']))
    assert.ok(own.every(line => line.traceId === traceId) && own.some(line => line.intent === 'notifications.announce') && own.some(line => line.requestId))
    const published = lines(await logs('--intent', 'articles.publish', '--process', 'web', '--since', '1h', '--json'))
    assert.deepEqual(published.map(line => [line.route, line.status]), [['/api/articles', 201]])
    assert.equal(await logs('--level', 'fatal'), '')
    assert.match(await logs('--intent', 'articles.publish'), /^\d\d:\d\d:\d\d\.\d{3} (DEBUG|WARN ) web\.\d +articles\.publish (slow )?request .*status=201/m)
    await assert.rejects(logs('--level', 'loud'), /--level is 'loud'; it may be trace, debug/)
  })

  await t.test('who follows gets what comes, from the files and from the admin port', async () => {
    const follower = spawn(process.execPath, ['src/cli/main.ts', 'logs', '--follow', '--json', '--intent', 'articles.list'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder }, stdio: ['ignore', 'pipe', 'inherit'] })
    const stream = await fetch(`${deployment.adminUrl}/logs?follow=1&intent=articles.list&limit=0`)
    assert.equal(stream.headers.get('content-type'), 'text/event-stream; charset=utf-8')
    const [printed, events] = [textOf(follower.stdout), textOf(stream.body! as unknown as AsyncIterable<Uint8Array>)]
    await until(async () => {
      await call(`${deployment.url}/api/articles?limit=${1 + Math.floor(performance.now()) % 90}`)
      return /articles\.list/.test(printed.text) && /^data: \{.*articles\.list/m.test(events.text) ? true : null
    }, 'a line of the request')
    follower.kill()
    await stream.body!.cancel().catch(() => {})
    const bad = await fetch(`${deployment.adminUrl}/logs?level=loud`)
    assert.equal(bad.status, 400)
    assert.ok((await call<LogLine[]>(`${deployment.adminUrl}/logs?trace=${traceId}&limit=3`)).length === 3)
  })
})

function textOf(source: AsyncIterable<Uint8Array>): { text: string } {
  const read = { text: '' }
  void (async () => { for await (const chunk of source) read.text += Buffer.from(chunk).toString() })().catch(() => {})
  return read
}

test('what fails is kept and logged; nested calls are found over a serialising transport; a collector gets it all', async t => {
  const collector = new OtlpServer()
  t.after(() => collector.close())
  const deployment = await startDeployment({
    topology: path.join(import.meta.dirname, 'topologies/serialising.ts'),
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: await collector.start(), OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_BSP_SCHEDULE_DELAY: '100', SMTP_URL: 'smtp://127.0.0.1:1' },
  })
  t.after(() => deployment.close())
  await writeArticle(deployment, {})
  const failed = await until(async () => {
    const [first] = await call<TraceSummary[]>(`${deployment.adminUrl}/traces?failed=1&intent=notifications.welcomeMail`)
    return first ?? null
  }, 'the job that cannot send its mail')
  assert.deepEqual([failed.what, failed.failed, failed.process], ['job', true, 'app.0'])
  const lines = await call<LogLine[]>(`${deployment.adminUrl}/logs?level=warn&trace=${failed.traceId}`)
  assert.ok(lines.some(line => line.intent === 'notifications.welcomeMail' && line.msg === 'a job failed'))

  const span = await until(async () => collector.spans.find(one => one.kind === 2 && one.name === 'accounts.people') ?? null, 'the call of another service')
  const caller = await until(async () => collector.spans.find(one => one.spanId === span.parentSpanId) ?? null, 'who called')
  assert.deepEqual([caller.kind, caller.name, caller.traceId], [3, 'accounts.people', span.traceId])
  const job = await until(async () => collector.spans.find(one => one.name === 'process notifications.announce') ?? null, 'the job')
  const enqueuing = collector.spans.find(one => one.spanId === job.links[0]!.spanId)!
  assert.deepEqual([enqueuing.kind, enqueuing.name], [4, 'publish notifications'])
  const request = collector.spans.find(one => one.name === 'POST /api/articles')!
  assert.equal(attributesOf(request.attributes)['tenfold.intent'], 'articles.publish')
  assert.deepEqual([collector.resource['service.name'], collector.resource['service.instance.id']], ['conduit', 'app.0'])
})
