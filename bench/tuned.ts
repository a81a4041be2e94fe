/**
 * Topology 2 against topology 1 and against bare node:http, on the same seeded data,
 * interleaved: the list that anybody may read; mixed traffic (90 % reads, 10 % writes) over
 * 1,200 of the 2,000 articles by Zipf's law, the newest most often, so that what is written to
 * most is also what lists show; and writes alone, each of which changes something, also on
 * topology 2 without its caches: what it costs a write that answers are kept. Also memory.
 *
 * Who reads has neither signed in nor written, as most who read: to them Conduit's answers may
 * lag a second (docs/freshness.md). Who writes has signed in, and reads nothing here.
 *
 *   node bench/tuned.ts [--rounds 5] [--seconds 3]
 */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { authorization, sampleArticles, tokenOf } from './client.ts'
import type { Person } from './client.ts'
import tuned from '../examples/conduit/topologies/2-tuned.ts'
import { environmentOf, freePort, seedAlike, startOn } from './conduit.ts'
import { runLoad } from './load/load.ts'
import type { LoadRequest } from './load/load.ts'
import { everything, mixed } from './mix.ts'
import { rootFolder, startServer } from './process.ts'
import type { Server } from './process.ts'
import { runRounds } from './rounds.ts'
import type { Contender, Figures } from './rounds.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '3' } } })
const common = { rounds: Number(options.rounds), durationMs: Number(options.seconds) * 1_000, warmupMs: 500, connections: 32 }
/** Until each process has had its code compiled (two share the requests that one would have had: measured, a write takes half the processor time after ten seconds), and its caches filled. */
const firstMs = 15_000
const peopleCount = 8
/** Of 20 articles each. */
const articlePages = 60
/** How many articles the writes alone go to: few enough to be met again, enough not to queue for one row. */
const writtenCount = 100

/** One after another favors each article, then takes it back: few requests find their work done, wherever the round before has ended. */
const written = (slugs: readonly string[], tokens: readonly string[]): LoadRequest[] =>
  tokens.flatMap(token => (['POST', 'DELETE'] as const).flatMap(method => slugs.slice(0, writtenCount).map(slug => ({ method, path: `/api/articles/${slug}/favorite`, headers: authorization(token) }))))

/** Proportional set size of each process of a topology, in MiB: Linux only. */
async function memoryOf({ server, adminUrl }: TunedSide): Promise<Record<string, number>> {
  const { processes } = await (await fetch(`${adminUrl}/status`)).json() as { processes: { name: string; replica: number; pid: number }[] }
  const pids = [['supervisor', server.pid] as const, ...processes.map(({ name, replica, pid }) => [`${name} ${replica}`, pid] as const)]
  return Object.fromEntries(await Promise.all(pids.map(async ([name, pid]) => {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '')
    return [name, Math.round(Number(/^Pss: +(\d+)/m.exec(text)?.[1] ?? 0) / 1_024)]
  })))
}

interface TunedSide { readonly name: string; readonly server: Server; readonly adminUrl: string; readonly tokens: readonly string[]; readonly slugs: readonly string[] }

const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
await chmod(folder, 0o755)
const secret = 'x'.repeat(64)
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]

async function start(name: string, topology: string, people: readonly Person[]): Promise<TunedSide> {
  const env = await environmentOf(path.join(folder, name), secret)
  const server = await startOn(path.join(folder, name), secret, topology, env)
  closers.push(() => server.stop())
  const tokens: string[] = []
  for (const person of people) tokens.push(await tokenOf(server.url, person))
  return { name, server, adminUrl: `http://127.0.0.1:${env.ADMIN_PORT}`, tokens, slugs: (await sampleArticles(server.url, articlePages)).slugs }
}

const contenderOf = ({ name, server }: Pick<TunedSide, 'name' | 'server'>, requests: readonly LoadRequest[]): Contender => ({ name, url: server.url, pid: server.pid, requests })

async function measure(contenders: readonly Contender[]): Promise<Record<string, Figures>> {
  const figures = await runRounds(contenders, { ...common, firstMs, postgresPid: null })
  return Object.fromEntries(contenders.map(({ name }, index) => [name, figures[index]!]))
}

try {
  process.stderr.write('seeding, and copying the data …\n')
  const [two, one, uncached] = ['2-tuned', '1-monolith', '2-uncached'] as const
  const people = await seedAlike([path.join(folder, two), path.join(folder, one), path.join(folder, uncached)], secret, peopleCount)
  const sides = [await start(two, two, people), await start(one, one, people)]
  const list: LoadRequest[] = [{ method: 'GET', path: '/api/articles' }]
  const bytes = Buffer.byteLength(await (await fetch(`${sides[0]!.server.url}/api/articles`)).text())
  const bare = await startServer(['bench/reference/bare.ts'], { PORT: String(await freePort()), BYTES: String(bytes - 11), PROCESSES: String(availableParallelism()) })
  closers.push(() => bare.stop())
  const rows: Record<string, Record<string, Figures>> = {}
  rows.list = await measure([...sides.map(side => contenderOf(side, list)), contenderOf({ name: 'bare', server: bare }, [{ method: 'GET', path: '/' }])])
  for (const { server, slugs } of sides) await runLoad({ url: server.url, requests: everything(slugs), connections: common.connections, warmupMs: 0, durationMs: firstMs })
  rows.mixed = await measure(sides.map(side => contenderOf(side, mixed(side.slugs, side.tokens))))
  const memoryMiB = Object.fromEntries(await Promise.all(sides.map(async side => [side.name, await memoryOf(side)] as const)))
  const uncachedFile = path.join(folder, 'uncached.ts')
  await writeFile(uncachedFile, `export default ${JSON.stringify({ ...tuned, ports: { ...tuned.ports, cache: { driver: 'none' } } })}\n`)
  sides.push(await start(uncached, uncachedFile, people))
  rows.write = await measure(sides.map(side => contenderOf(side, written(side.slugs, side.tokens))))
  const ratio = (row: string, one: string, other: string) => rows[row]![one]!.requestsPerSecond / rows[row]![other]!.requestsPerSecond
  const { write } = rows
  const result = {
    at: new Date().toISOString(), commit: commitText(), machine: machineText(), ...common, listBytes: bytes, rows, memoryMiB,
    invalidationMicroseconds: (write[two]!.appMicroseconds ?? NaN) - (write[uncached]!.appMicroseconds ?? NaN),
    ratios: {
      'list: 2-tuned / 1-monolith': ratio('list', two, one), 'list: 2-tuned / bare': ratio('list', two, 'bare'),
      'mixed: 2-tuned / 1-monolith': ratio('mixed', two, one), 'write: 2-tuned / 1-monolith': ratio('write', two, one), 'write: 2-tuned / uncached': ratio('write', two, uncached),
    },
  }
  const file = path.join(rootFolder, 'bench/results', `${result.at.slice(0, 10)}-${result.commit}-tuned.json`)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`)
  for (const [name, row] of Object.entries(rows)) for (const [side, figures] of Object.entries(row)) {
    process.stdout.write(`${name.padEnd(6)} ${side.padEnd(11)} ${Math.round(figures.requestsPerSecond).toLocaleString('en').padStart(8)} req/s  p50 ${figures.p50Ms.toFixed(2)} ms  p99 ${figures.p99Ms.toFixed(2)} ms  CPU ${figures.appMicroseconds?.toFixed(0)} µs  ${JSON.stringify(figures.byStatus)}\n`)
  }
  process.stdout.write(`${Object.entries(result.ratios).map(([name, value]) => `${name} ${value.toFixed(2)}`).join('\n')}\ninvalidation: ${result.invalidationMicroseconds.toFixed(0)} µs of CPU a write\nmemory, MiB: ${JSON.stringify(memoryMiB)}\n${file}\n`)
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) })
}
