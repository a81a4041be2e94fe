/**
 * What measuring costs at full load, in two ways, for neither is enough alone.
 *
 * Whole: Conduit measured and not (TENFOLD_METRICS=off), on copies of the same data, interleaved,
 * in CPU time per request: of the application alone, and with its Postgres, which is what a request
 * costs the machine. The measured one is scraped after every 15 s of load, as the configuration that
 * `tenfold alerts` writes says. Of two processes of the same code one is by some percent the faster
 * for as long as it lives, so that no number of rounds tells a percent.
 *
 * Counted: what is called for one query, in a loop, and what a scrape takes. That leaves out what
 * it does to the caches of the processor.
 *
 *   node bench/metrics.ts [--topology 1-monolith] [--rounds 31] [--seconds 1]
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { authorization, sampleArticles, tokenOf } from './client.ts'
import { environmentOf, postgresOf, seedAlike, startOn } from './conduit.ts'
import { cpuMicroseconds } from './cpu-time.ts'
import { app as conduit } from '../examples/conduit/app.ts'
import { MetricRegistry } from '../src/base/metric-registry.ts'
import { monotonicMs } from '../src/base/time.ts'
import type { TrackedResponse } from '../src/drivers/http/server.ts'
import { ServerMeter } from '../src/drivers/http/server-meter.ts'
import { Statistics } from '../src/runtime/statistics.ts'
import { Tracer } from '../src/runtime/tracer.ts'
import { allowedProcessors, pin } from './load/affinity.ts'
import { runLoad } from './load/load.ts'
import type { LoadRequest } from './load/load.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: { topology: { type: 'string', default: '1-monolith' }, rounds: { type: 'string', default: '31' }, seconds: { type: 'string', default: '1' } } })
const durationMs = Number(options.seconds) * 1_000
const scrapeMs = 15_000
/** Until the code of a row is compiled. */
const firstMs = 10_000
const scrapes = 20
let sinceScrapeMs = 0

interface Side { readonly name: 'on' | 'off'; readonly url: string; readonly adminUrl: string; readonly pid: number; readonly postgresPid: number; readonly requests: Readonly<Record<string, readonly LoadRequest[]>> }

const machine = machineText()
const allowed = allowedProcessors()
/** The generator's; this process, and so the servers that it starts, are kept to another. */
const processor = allowed.length > 1 && pin(process.pid, allowed[0]!) ? allowed.at(-1) : undefined

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

/** Of the median, at 95 %, whatever the distribution: the order statistics between which it lies (sign test, normal approximation). */
function intervalOf(values: readonly number[]): readonly [number, number] {
  const sorted = values.toSorted((a, b) => a - b)
  const off = Math.max(0, Math.floor(sorted.length / 2 - 1.96 * Math.sqrt(sorted.length) / 2))
  return [sorted[off]!, sorted[sorted.length - 1 - off]!]
}

interface Cost { readonly application: number; readonly all: number }

async function cpuPerRequest({ name, url, adminUrl, pid, postgresPid, requests }: Side, row: string, forMs: number): Promise<Cost> {
  const used = (): Cost => ({ application: cpuMicroseconds(pid, postgresPid)!, all: cpuMicroseconds(pid)! })
  let from = used()
  if (name === 'on') sinceScrapeMs += forMs
  const isScraped = name === 'on' && sinceScrapeMs >= scrapeMs
  if (isScraped) sinceScrapeMs = 0
  const onMeasure = () => {
    from = used()
    if (isScraped) void fetch(`${adminUrl}/metrics`).then(answer => answer.arrayBuffer()).catch(() => {})
  }
  const report = await runLoad({ url, requests: requests[row]!, processor, connections: 32, durationMs: forMs, warmupMs: 300, onMeasure })
  const to = used()
  return { application: (to.application - from.application) / report.answers, all: (to.all - from.all) / report.answers }
}

function compared(name: string, on: readonly number[], off: readonly number[]): string {
  const ratios = on.map((one, index) => one / off[index]! - 1)
  const percent = (value: number) => `${(value * 100).toFixed(1)} %`
  return `${name.padEnd(12)} on ${median(on).toFixed(1)}  off ${median(off).toFixed(1)}  ${percent(median(on) / median(off) - 1)}; by round: median ${percent(median(ratios))}, between ${intervalOf(ratios).map(percent).join(' and ')} at 95 % (${ratios.length} rounds)`
}

/** Of what the server, the dispatcher, a statement and the end of a trace call for one query, in the best of some loops. */
function countedMicroseconds(): number {
  const registry = new MetricRegistry()
  const intent = conduit.intents.get('articles.one')!
  const statistics = new Statistics(registry)
  const server = new ServerMeter(registry, { inFlight: 0, connections: 0, draining: false })
  const tracer = new Tracer()
  const span = tracer.begin('request', intent.name)
  span.begin('statement', intent.name).end()
  tracer.finish(span)
  const run = statistics.begin(intent)
  const response = { req: { method: 'GET' }, statusCode: 200, headersSent: true, startedAtMs: 0 } as TrackedResponse
  const one = () => {
    server.began(response)
    const meter = statistics.meterOf(intent)!
    const startedAtMs = monotonicMs()
    run.took(monotonicMs())
    meter.succeeded(startedAtMs)
    meter.resided(span.trace)
    server.ended(response)
  }
  const count = 300_000
  return Math.min(...Array.from({ length: 8 }, () => {
    const fromMs = monotonicMs()
    for (let index = 0; index < count; index++) one()
    return (monotonicMs() - fromMs) * 1_000 / count
  }))
}

async function scrapeMicroseconds({ adminUrl, pid }: Side): Promise<number> {
  const from = cpuMicroseconds(pid)!
  for (let index = 0; index < scrapes; index++) await (await fetch(`${adminUrl}/metrics`)).arrayBuffer()
  return (cpuMicroseconds(pid)! - from) / scrapes
}

const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
await chmod(folder, 0o755)
const secret = 'x'.repeat(64)
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
try {
  process.stderr.write('seeding, and copying the data …\n')
  const people = await seedAlike([path.join(folder, 'on'), path.join(folder, 'off')], secret, 4)
  const sides: Side[] = []
  for (const name of ['on', 'off'] as const) {
    const env: Record<string, string> = { ...await environmentOf(path.join(folder, name), secret), TENFOLD_METRICS: name }
    const server = await startOn(path.join(folder, name), secret, options.topology, env)
    closers.push(() => server.stop())
    const { slugs } = await sampleArticles(server.url, 10)
    const headers = authorization(await tokenOf(server.url, people[0]!))
    const get = (path: string): LoadRequest => ({ method: 'GET', path })
    sides.push({ name, url: server.url, adminUrl: `http://127.0.0.1:${env.ADMIN_PORT}`, pid: server.pid, postgresPid: (await postgresOf(path.join(folder, name))).pid, requests: {
      'one article': slugs.map(slug => get(`/api/articles/${slug}`)), 'tags': [get('/api/tags')],
      'favorite': ['POST', 'DELETE'].flatMap(method => slugs.map(slug => ({ method, path: `/api/articles/${slug}/favorite`, headers }))),
    } })
  }
  process.stdout.write(`${machine}, ${commitText()}, ${options.topology}: CPU µs per request\n`)
  for (const row of Object.keys(sides[0]!.requests)) {
    const measured: Record<Side['name'], Cost[]> = { on: [], off: [] }
    // The first round only warms; the order changes with each.
    for (let round = -1; round < Number(options.rounds); round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const cost = await cpuPerRequest(side, row, round < 0 ? firstMs : durationMs)
        if (round >= 0) measured[side.name].push(cost)
      }
    }
    process.stdout.write(`${row}\n${(['application', 'all'] as const).map(of => `  ${compared(of, measured.on.map(one => one[of]), measured.off.map(one => one[of]))}\n`).join('')}`)
  }
  const scrape = await scrapeMicroseconds(sides[0]!)
  process.stdout.write(`counted: ${countedMicroseconds().toFixed(2)} µs for one query; a scrape ${(scrape / 1_000).toFixed(0)} ms, ${(scrape / scrapeMs / 10).toFixed(2)} % of a processor\n`)
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) })
}
