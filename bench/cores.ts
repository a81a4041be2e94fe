/**
 * Topology 2 against topology 1 on a machine of more cores than this one has, each a part as
 * fast (cgroups: root, Linux): scaling up is what topology 2 is for, and two cores that also
 * ask the questions show little of it. Of topology 1 the one process of the application has one core, as its
 * one thread would; Postgres, and the processes of topology 2, one for each core, share them all.
 *
 * The list that anybody may read, and mixed traffic (mix.ts), on the same data and in turn. What is
 * done so often in a second, whatever comes, counts as much more as cores are slower: of
 * mixed traffic, where each process tells all others of writes up to 25 times a second, at a tenth
 * that is most, so that the row says less the slower they are.
 *
 *   node bench/cores.ts [--cores 8] [--speed 0.1] [--rounds 5] [--seconds 4]
 */
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import monolith from '../examples/conduit/topologies/1-monolith.ts'
import tuned from '../examples/conduit/topologies/2-tuned.ts'
import { sampleArticles, tokenOf } from './client.ts'
import type { Person } from './client.ts'
import { environmentOf, seedAlike, startOn } from './conduit.ts'
import { RehearsedMachine } from './rehearsed-machine.ts'
import { runLoad } from './load/load.ts'
import type { LoadRequest } from './load/load.ts'
import { everything, mixed } from './mix.ts'
import { rootFolder } from './process.ts'
import { runRounds } from './rounds.ts'
import type { Contender, Figures } from './rounds.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: { cores: { type: 'string', default: '8' }, speed: { type: 'string', default: '0.1' }, rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' } } })
const [cores, speed] = [Number(options.cores), Number(options.speed)]
const rounds = { rounds: Number(options.rounds), durationMs: Number(options.seconds) * 1_000, warmupMs: 1_000, postgresPid: null }
/** At full speed, until the code of each process is compiled and answers are kept. */
const warmMs = 10_000 + 2_500 * cores
const connectionsPerProcess = 16
const peopleCount = 8
/** Of 20 articles each. */
const articlePages = 60

interface Side { readonly name: string; readonly url: string; readonly pid: number; readonly connections: number; readonly mix: readonly LoadRequest[]; readonly list: readonly LoadRequest[] }

const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
await chmod(folder, 0o755)
const secret = 'x'.repeat(64)
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]

async function processesOf(adminUrl: string): Promise<number[]> {
  const { processes } = await (await fetch(`${adminUrl}/status`)).json() as { processes: { pid: number; state: string }[] }
  return processes.filter(one => one.state === 'ready').map(one => one.pid)
}

async function start(name: string, topology: object, processCount: number, people: readonly Person[]): Promise<Side> {
  const file = path.join(folder, `${name}.ts`)
  await writeFile(file, `export default ${JSON.stringify(topology)}\n`)
  const env: Record<string, string> = { ...await environmentOf(path.join(folder, name), secret), TENFOLD_STANDBY: 'off' }
  const server = await startOn(path.join(folder, name), secret, file, env)
  const machine = await RehearsedMachine.make(name, cores, speed)
  closers.push(async () => { await server.stop(); machine.close() })
  const tokens: string[] = []
  for (const person of people) tokens.push(await tokenOf(server.url, person))
  const { slugs } = await sampleArticles(server.url, articlePages)
  const [list, mix]: [LoadRequest[], LoadRequest[]] = [[{ method: 'GET', path: '/api/articles' }], mixed(slugs, tokens)]
  const connections = connectionsPerProcess * processCount
  for (const requests of [everything(slugs), list, mix]) await runLoad({ url: server.url, requests, connections, warmupMs: 0, durationMs: warmMs / 3 })
  machine.run(server.pid, await processesOf(`http://127.0.0.1:${env.ADMIN_PORT}`))
  return { name, url: server.url, pid: server.pid, connections, mix, list }
}

/** Each with as many connections as its processes need. */
async function measure(sides: readonly Side[], of: (side: Side) => readonly LoadRequest[]): Promise<Record<string, Figures>> {
  const contenders = sides.map(({ name, url, pid, connections }, index): Contender => ({ name, url, pid, connections, requests: of(sides[index]!) }))
  const figures = await runRounds(contenders, { ...rounds, connections: connectionsPerProcess })
  return Object.fromEntries(contenders.map(({ name }, index) => [name, figures[index]!]))
}

try {
  process.stderr.write('seeding, and copying the data …\n')
  const [two, one] = ['2-tuned', '1-monolith'] as const
  const people = await seedAlike([path.join(folder, two), path.join(folder, one)], secret, peopleCount)
  const sides = [
    await start(two, { ...tuned, processes: { ...tuned.processes, web: { ...tuned.processes.web, replicas: cores } } }, cores, people),
    await start(one, monolith, 2, people),
  ]
  const rows = { list: await measure(sides, side => side.list), mixed: await measure(sides, side => side.mix) }
  const result = { at: new Date().toISOString(), commit: commitText(), machine: machineText(), cores, speed, ...rounds, rows, ratios: Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, row[two]!.requestsPerSecond / row[one]!.requestsPerSecond])) }
  const file = path.join(rootFolder, 'bench/results', `${result.at.slice(0, 10)}-${result.commit}-cores.json`)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`)
  for (const [name, row] of Object.entries(rows)) for (const [side, figures] of Object.entries(row)) {
    process.stdout.write(`${name.padEnd(6)} ${side.padEnd(11)} ${Math.round(figures.requestsPerSecond).toLocaleString('en').padStart(8)} req/s  p50 ${figures.p50Ms.toFixed(2)} ms  p99 ${figures.p99Ms.toFixed(2)} ms  CPU ${figures.appMicroseconds?.toFixed(0)} µs  ${JSON.stringify(figures.byStatus)}\n`)
  }
  process.stdout.write(`${cores} cores of ${speed}: ${Object.entries(result.ratios).map(([name, value]) => `${name} ${value.toFixed(2)}`).join(', ')}\n${file}\n`)
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) })
}
