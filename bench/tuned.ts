/**
 * Topology 2 against topology 1 and against bare node:http, on the same seeded data,
 * interleaved: the list that anybody may read; mixed traffic (90 % reads, 10 % writes) over
 * 1,200 of the 2,000 articles by Zipf's law, the newest most often, so that what is written to
 * most is also what lists show; and writes alone, each of which changes something. Also memory.
 *
 *   node bench/tuned.ts [--rounds 5] [--seconds 3]
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { authorization, sampleArticles, tokenOf } from './client.ts'
import { freePort, postgresOf, seedTwice, startOn } from './conduit.ts'
import type { LoadRequest } from './load/load.ts'
import { rootFolder, startServer } from './process.ts'
import type { Server } from './process.ts'
import { runRounds } from './rounds.ts'
import type { Figures } from './rounds.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } } })
const common = { rounds: Number(options.rounds), durationMs: Number(options.seconds) * 1_000, warmupMs: 500, connections: 32 }
const peopleCount = 8
const mixCount = 8_000
/** Of 20 articles each. */
const articlePages = 60
/** How many articles the writes alone go to: few enough to be met again, enough not to queue for one row. */
const writtenCount = 100

/** The same for both sides: drawn by a small generator of its own. */
function drawer(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
}

function mixed(slugs: readonly string[], tokens: readonly string[]): LoadRequest[] {
  const draw = drawer(7)
  const weights = slugs.map((_, index) => 1 / (index + 1))
  const total = weights.reduce((sum, one) => sum + one, 0)
  const zipf = () => {
    let at = draw() * total
    return slugs[weights.findIndex(weight => (at -= weight) <= 0)] ?? slugs[0]!
  }
  const headers = () => authorization(tokens[Math.floor(draw() * tokens.length)]!)
  return Array.from({ length: mixCount }, (_, index): LoadRequest => {
    if (index % 10 === 9) {
      const what = draw()
      if (what < 0.5) return { method: 'POST', path: `/api/articles/${zipf()}/favorite`, headers: headers() }
      if (what < 0.8) return { method: 'POST', path: `/api/articles/${zipf()}/comments`, headers: headers(), body: '{"comment":{"body":"a comment"}}' }
      return { method: 'DELETE', path: `/api/articles/${zipf()}/favorite`, headers: headers() }
    }
    const what = draw()
    const get = (path: string): LoadRequest => ({ method: 'GET', path })
    return what < 0.55 ? get(`/api/articles/${zipf()}`) : what < 0.85 ? get('/api/articles') : what < 0.95 ? get(`/api/articles/${zipf()}/comments`) : get('/api/tags')
  })
}

/** Everybody favors each article, then takes it back, and so on: no request finds its work done, but for those that overtake another. */
const written = (slugs: readonly string[], tokens: readonly string[]): LoadRequest[] =>
  (['POST', 'DELETE'] as const).flatMap(method => tokens.flatMap(token => slugs.slice(0, writtenCount).map(slug => ({ method, path: `/api/articles/${slug}/favorite`, headers: authorization(token) }))))

/** Proportional set size of the processes below one, in MiB: Linux only. */
async function memoryOf(pid: number): Promise<number> {
  const { stdout } = await promisify(execFile)('ps', ['--ppid', String(pid), '-o', 'pid=,comm='])
  let kilobytes = 0
  for (const child of [pid, ...stdout.split('\n').filter(line => /node|MainThread/.test(line)).map(line => Number.parseInt(line, 10))]) {
    const text = await readFile(`/proc/${child}/smaps_rollup`, 'utf8').catch(() => '')
    kilobytes += Number(/^Pss: +(\d+)/m.exec(text)?.[1] ?? 0)
  }
  return kilobytes / 1_024
}

interface TunedSide { readonly name: string; readonly server: Server; readonly tokens: readonly string[]; readonly slugs: readonly string[]; readonly postgresPid: number }

const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
await chmod(folder, 0o755)
const secret = 'x'.repeat(64)
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
try {
  process.stderr.write('seeding, and copying the data …\n')
  const people = await seedTwice([path.join(folder, 'one'), path.join(folder, 'two')], secret, peopleCount)
  const sides: TunedSide[] = []
  for (const [name, data, topology] of [['2-tuned', 'two', '2-tuned'], ['1-monolith', 'one', '1-monolith']] as const) {
    const server = await startOn(path.join(folder, data), secret, topology)
    closers.push(() => server.stop())
    const tokens: string[] = []
    for (const person of people) tokens.push(await tokenOf(server.url, person))
    const { slugs } = await sampleArticles(server.url, articlePages)
    sides.push({ name, server, tokens, slugs, postgresPid: (await postgresOf(path.join(folder, data))).pid })
  }
  const bytes = Buffer.byteLength(await (await fetch(`${sides[0]!.server.url}/api/articles`)).text())
  const bare = await startServer(['bench/reference/bare.ts'], { PORT: String(await freePort()), BYTES: String(bytes - 11), PROCESSES: String(availableParallelism()) })
  closers.push(() => bare.stop())
  const measure = async (requests: (side: TunedSide) => LoadRequest[], withBare: boolean): Promise<Record<string, Figures>> => {
    const contenders = sides.map(side => ({ name: side.name, url: side.server.url, pid: side.server.pid, requests: requests(side) }))
    if (withBare) contenders.push({ name: 'bare', url: bare.url, pid: bare.pid, requests: [{ method: 'GET', path: '/' }] })
    const figures = await runRounds(contenders, { ...common, postgresPid: null })
    return Object.fromEntries(contenders.map(({ name }, index) => [name, figures[index]!]))
  }
  const list = await measure(() => [{ method: 'GET', path: '/api/articles' }], true)
  const mix = await measure(side => mixed(side.slugs, side.tokens), false)
  const write = await measure(side => written(side.slugs, side.tokens), false)
  const memory = Object.fromEntries(await Promise.all(sides.map(async side => [side.name, Math.round(await memoryOf(side.server.pid))] as const)))
  const ratio = (rows: Record<string, Figures>, one: string, other: string) => rows[one]!.requestsPerSecond / rows[other]!.requestsPerSecond
  const result = {
    at: new Date().toISOString(), commit: commitText(), machine: machineText(), ...common, listBytes: bytes, list, mix, write, memoryMiB: memory,
    ratios: {
      'list: 2-tuned / 1-monolith': ratio(list, '2-tuned', '1-monolith'), 'list: 2-tuned / bare': ratio(list, '2-tuned', 'bare'),
      'mixed: 2-tuned / 1-monolith': ratio(mix, '2-tuned', '1-monolith'), 'write: 2-tuned / 1-monolith': ratio(write, '2-tuned', '1-monolith'),
    },
  }
  const file = path.join(rootFolder, 'bench/results', `${result.at.slice(0, 10)}-${result.commit}-tuned.json`)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`)
  for (const [name, rows] of Object.entries({ list, mixed: mix, write })) for (const [side, figures] of Object.entries(rows)) {
    process.stdout.write(`${name.padEnd(6)} ${side.padEnd(11)} ${Math.round(figures.requestsPerSecond).toLocaleString('en').padStart(8)} req/s  p50 ${figures.p50Ms.toFixed(2)} ms  p99 ${figures.p99Ms.toFixed(2)} ms  ${JSON.stringify(figures.byStatus)}\n`)
  }
  process.stdout.write(`${Object.entries(result.ratios).map(([name, value]) => `${name} ${value.toFixed(2)}`).join('\n')}\nmemory ${JSON.stringify(memory)} MiB; ${file}\n`)
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) })
}
