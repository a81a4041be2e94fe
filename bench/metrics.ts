/**
 * What measuring costs at full load: Conduit measured and not (TENFOLD_METRICS=off), on copies
 * of the same data, interleaved, in CPU time per request. The measured one is scraped after
 * every 15 s of load, as the configuration that `tenfold alerts` writes says.
 *
 *   node bench/metrics.ts [--topology 1-monolith] [--rounds 7] [--seconds 3]
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { authorization, sampleArticles, tokenOf } from './client.ts'
import { environmentOf, postgresOf, seedAlike, startOn } from './conduit.ts'
import { cpuMicroseconds } from './cpu-time.ts'
import { allowedProcessors, pin } from './load/affinity.ts'
import { runLoad } from './load/load.ts'
import type { LoadRequest } from './load/load.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: { topology: { type: 'string', default: '1-monolith' }, rounds: { type: 'string', default: '31' }, seconds: { type: 'string', default: '1' } } })
const durationMs = Number(options.seconds) * 1_000
const scrapeMs = 15_000
let sinceScrapeMs = 0

interface Side { readonly name: 'on' | 'off'; readonly url: string; readonly adminUrl: string; readonly pid: number; readonly postgresPid: number; readonly requests: Readonly<Record<string, readonly LoadRequest[]>> }

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

async function cpuPerRequest({ name, url, adminUrl, pid, postgresPid, requests }: Side, row: string): Promise<number> {
  let from = 0
  if (name === 'on') sinceScrapeMs += durationMs
  const isScraped = name === 'on' && sinceScrapeMs >= scrapeMs
  if (isScraped) sinceScrapeMs = 0
  const onMeasure = () => {
    from = cpuMicroseconds(pid, postgresPid)!
    if (isScraped) void fetch(`${adminUrl}/metrics`).then(answer => answer.arrayBuffer()).catch(() => {})
  }
  const report = await runLoad({ url, requests: requests[row]!, processor, connections: 32, durationMs, warmupMs: 300, onMeasure })
  return (cpuMicroseconds(pid, postgresPid)! - from) / report.answers
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
      'favorite': slugs.map(slug => ({ method: 'POST', path: `/api/articles/${slug}/favorite`, headers })),
    } })
  }
  process.stdout.write(`${machineText()}, ${commitText()}, ${options.topology}: CPU µs per request of the application\n`)
  for (const row of Object.keys(sides[0]!.requests)) {
    const measured: Record<Side['name'], number[]> = { on: [], off: [] }
    // The first round only warms; the order changes with each.
    for (let round = -1; round < Number(options.rounds); round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
        const microseconds = await cpuPerRequest(side, row)
        if (round >= 0) measured[side.name].push(microseconds)
      }
    }
    const [on, off] = [median(measured.on), median(measured.off)]
    const ratios = measured.on.map((one, index) => one / measured.off[index]! - 1)
    const percent = (value: number) => `${(value * 100).toFixed(1)} %`
    process.stdout.write(`${row.padEnd(12)} on ${on.toFixed(1)}  off ${off.toFixed(1)}  ${percent(on / off - 1)}; by round: median ${percent(median(ratios))}, between ${intervalOf(ratios).map(percent).join(' and ')} at 95 % (${ratios.length} rounds)\n`)
  }
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) })
}
