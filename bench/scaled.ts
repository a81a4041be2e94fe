/**
 * Topology 3 where something has a limit (cgroups: root, Linux).
 *
 * `nodes`: each web process has a fifth of a core. One deployment with four of them; in turn
 * one, two and four are in the balancer's hands, on the same data and engines.
 * `database`: each Postgres server has a share of a core, and the nodes have all they want: one
 * deployment with a server alone, one with a primary and two replicas, nothing kept.
 *
 *   node bench/scaled.ts [--rounds 5] [--seconds 4] [--parts nodes,database] [--node-cpu 0.2] [--server-cpu 0.15] [--data FOLDER]
 *
 * FOLDER: sample data that is made once and used again.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs, promisify } from 'node:util'
import topology from '../examples/conduit/topologies/3-scaled-out.ts'
import { command } from '../src/drivers/haproxy/command-socket.ts'
import { authorization, registerPeople, sampleArticles, tokenOf } from './client.ts'
import type { Person } from './client.ts'
import { environmentOf, startConduit, startOn } from './conduit.ts'
import { cpuMicroseconds } from './cpu-time.ts'
import { runLoad } from './load/load.ts'
import type { LoadRequest } from './load/load.ts'
import { drawer, readMix } from './mix.ts'
import { rootFolder } from './process.ts'
import type { Server } from './process.ts'
import { commitText, machineText } from './table.ts'

const { values: options } = parseArgs({ options: {
  rounds: { type: 'string', default: '5' }, seconds: { type: 'string', default: '4' }, parts: { type: 'string', default: 'nodes,database' },
  'node-cpu': { type: 'string', default: '0.2' }, 'server-cpu': { type: 'string', default: '0.15' }, data: { type: 'string' },
} })
const [rounds, durationMs, nodeCpu, serverCpu] = [Number(options.rounds), Number(options.seconds) * 1_000, Number(options['node-cpu']), Number(options['server-cpu'])]
/** The balancer gives a node that comes back its whole share after two seconds. */
const warmupMs = 2_000
const liftedMs = 12_000
/** Before each round of nodes: those that got nothing meanwhile keep answers that are older, and each its own. */
const refreshMs = 4_000
const connectionsPerNode = 24
const peopleCount = 8
const articlePages = 60
const say = (text: string) => process.stderr.write(`${text}\n`)

interface Stand {
  readonly server: Server
  readonly dataFolder: string
  readonly adminUrl: string
  readonly requests: readonly LoadRequest[]
  /** The postmasters; the first was made first. */
  readonly servers: readonly number[]
}

interface Place { readonly folder: string; readonly data: string }
interface Changes { readonly web: object; readonly ports?: object }

const people = Array.from({ length: peopleCount }, (_, index): Person => ({ email: `bench${index}@bench.example`, password: `bench-password-${index}` }))

/** The sample data, and people who can sign in, in a folder that nothing runs on. */
async function prepare(data: string): Promise<void> {
  if (existsSync(path.join(data, 'prepared'))) return
  say('seeding …')
  await mkdir(data, { recursive: true, mode: 0o755 })
  const conduit = await startConduit(data, 'x'.repeat(64))
  try { await registerPeople(conduit.url, peopleCount) } finally { await conduit.stop() }
  // Each copy takes a port of its own.
  await rm(path.join(data, 'postgres/postgres.port'), { force: true })
  await writeFile(path.join(data, 'prepared'), '')
}

/** Everything as topology 3 has it, but for what is changed. */
async function standUp({ folder, data }: Place, name: string, { web, ports }: Changes, requestsOf: (slugs: readonly string[], tokens: readonly string[]) => LoadRequest[]): Promise<Stand> {
  const dataFolder = path.join(folder, name)
  // Owners go along: the database belongs to another user where root runs this.
  await promisify(execFile)('cp', ['-a', data, dataFolder])
  const file = path.join(folder, `${name}.ts`)
  const changed = { ...topology, processes: { web: { ...topology.processes.web, ...web }, worker: { ...topology.processes.worker, replicas: 1 } }, ports: { ...topology.ports, ...ports } }
  await writeFile(file, `export default ${JSON.stringify(changed)}\n`)
  const env = await environmentOf(dataFolder, 'x'.repeat(64))
  const server = await startOn(dataFolder, 'x'.repeat(64), file, env)
  try {
    const tokens: string[] = []
    for (const person of people) tokens.push(await tokenOf(server.url, person))
    const { slugs } = await sampleArticles(server.url, articlePages)
    const members = 'replicas' in changed.ports.database ? ['', ...Array.from({ length: changed.ports.database.replicas }, (_, index) => `replicas/${index + 1}`)] : ['']
    const servers = await Promise.all(members.map(async member => Number((await readFile(path.join(dataFolder, member, 'postgres/cluster/postmaster.pid'), 'utf8')).split('\n')[0])))
    return { server, dataFolder, adminUrl: `http://127.0.0.1:${env.ADMIN_PORT}`, requests: requestsOf(slugs, tokens), servers }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** Lists further back: most of their work is the database's. */
const listMix = (tokens: readonly string[]): LoadRequest[] => {
  const draw = drawer(11)
  return Array.from({ length: 4_000 }, (): LoadRequest => ({ method: 'GET', path: `/api/articles?limit=20&offset=${Math.floor(draw() * 1_500)}`, headers: authorization(tokens[Math.floor(draw() * tokens.length)]!) }))
}

interface Round {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly generatorLoad: number
  /** Cores in use. */
  readonly cores: Readonly<Record<string, number>>
  readonly byStatus: Readonly<Record<string, number>>
}

async function pidsOf(stand: Stand): Promise<ReadonlyMap<string, number>> {
  const { processes } = await (await fetch(`${stand.adminUrl}/status`)).json() as { processes: { name: string; replica: number; pid: number; state: string }[] }
  const haproxy = Number(await readFile(path.join(stand.dataFolder, 'haproxy/pid'), 'utf8'))
  return new Map([
    ...processes.filter(one => one.state === 'ready').map(one => [`${one.name}-${one.replica}`, one.pid] as const), ['haproxy', haproxy],
    ...stand.servers.map((pid, index) => [`postgres-${index}`, pid] as const),
  ])
}

async function measure(stand: Stand, connections: number): Promise<Round> {
  const pids = await pidsOf(stand)
  const read = () => new Map([...pids].map(([name, pid]) => [name, cpuMicroseconds(pid) ?? 0]))
  let [from, fromMs] = [read(), performance.now()]
  const report = await runLoad({ url: stand.server.url, requests: stand.requests, connections, durationMs, warmupMs, onMeasure: () => { [from, fromMs] = [read(), performance.now()] } })
  const [to, seconds] = [read(), (performance.now() - fromMs) / 1_000]
  const cores = Object.fromEntries([...pids.keys()].map(name => [name, Number(((to.get(name)! - from.get(name)!) / 1e6 / seconds).toFixed(3))]))
  return { requestsPerSecond: report.goodPerSecond, p50Ms: report.p50Ms, p99Ms: report.p99Ms, generatorLoad: report.generatorLoad, cores, byStatus: report.byStatus }
}

/** Code that was just loaded is slow for some seconds of work, which a fifth of a core takes long for: so long the limits are lifted. */
async function warm(stand: Stand, requests: readonly LoadRequest[], forMs = liftedMs): Promise<void> {
  const restore: (() => Promise<void>)[] = []
  for (const [name, pid] of await pidsOf(stand)) if (name.startsWith('web-')) restore.push(await lift(pid))
  await runLoad({ url: stand.server.url, requests, connections: 4 * connectionsPerNode, warmupMs: 0, durationMs: forMs })
  for (const one of restore) await one()
}

/** The file with the limit of a process that has one. */
async function limitOf(pid: number): Promise<{ readonly file: string; readonly isOld: boolean }> {
  const groups = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map(line => line.split(':'))
  const old = groups.find(([, controllers]) => controllers?.split(',').includes('cpu'))?.[2]
  return old === undefined ? { file: `/sys/fs/cgroup${groups.find(([, controllers]) => controllers === '')![2]}/cpu.max`, isOld: false } : { file: `/sys/fs/cgroup/cpu${old}/cpu.cfs_quota_us`, isOld: true }
}

/** Returns what gives the limit back. */
async function lift(pid: number): Promise<() => Promise<void>> {
  const { file, isOld } = await limitOf(pid)
  const limit = await readFile(file, 'utf8')
  await writeFile(file, isOld ? '-1' : 'max')
  return () => writeFile(file, limit)
}

/** In the periods of 10 ms that limits have. */
async function limit(pid: number, cores: number): Promise<void> {
  const { file, isOld } = await limitOf(pid)
  await writeFile(file, isOld ? String(cores * 10_000) : `${cores * 10_000} 10000`)
}

/** So many nodes get requests; the others run, and get none. */
async function give(stand: Stand, count: number): Promise<void> {
  const pids = await pidsOf(stand)
  const nodes = [...pids].filter(([name]) => name.startsWith('web-'))
  for (const [index, [name, pid]] of nodes.entries()) {
    const answer = await command(path.join(stand.dataFolder, 'haproxy/command'), `set server nodes/${name}-${pid} state ${index < count ? 'ready' : 'drain'}`)
    if (answer !== '') throw new Error(answer)
  }
}

function medianRound(all: readonly Round[]): Round {
  const median = (of: (round: Round) => number) => all.map(of).toSorted((a, b) => a - b)[all.length >> 1]!
  const byStatus: Record<string, number> = {}
  for (const round of all) for (const [status, count] of Object.entries(round.byStatus)) byStatus[status] = (byStatus[status] ?? 0) + count
  return {
    requestsPerSecond: median(one => one.requestsPerSecond), p50Ms: median(one => one.p50Ms), p99Ms: median(one => one.p99Ms), generatorLoad: median(one => one.generatorLoad),
    cores: Object.fromEntries(Object.keys(all[0]!.cores).map(name => [name, median(one => one.cores[name] ?? 0)])), byStatus,
  }
}

const lineOf = (part: string, name: string, one: Round): string =>
  `${part.padEnd(27)} ${name.padEnd(15)} ${Math.round(one.requestsPerSecond).toString().padStart(6)} req/s  p50 ${one.p50Ms.toFixed(1)} ms  p99 ${one.p99Ms.toFixed(1)} ms  generator ${Math.round(one.generatorLoad * 100)} %  cores ${JSON.stringify(one.cores)} ${JSON.stringify(one.byStatus)}\n`

/** In turn, after a round that only warms; the medians of each. */
async function inTurn(part: string, names: readonly string[], one: (name: string) => Promise<Round>): Promise<Record<string, Round>> {
  const found = new Map<string, Round[]>(names.map(name => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const name of names) {
      const measured = await one(name)
      if (round >= 0) found.get(name)!.push(measured)
    }
  }
  const rows = Object.fromEntries([...found].map(([name, all]) => [name, medianRound(all)]))
  for (const [name, row] of Object.entries(rows)) process.stdout.write(lineOf(part, name, row))
  return rows
}

type Rows = Readonly<Record<string, Round>>
type KeepStand = (stand: Promise<Stand>) => Promise<Stand>

async function nodesPart(place: Place, keep: KeepStand): Promise<Record<string, Rows>> {
  say(`four nodes of ${nodeCpu} core: starting …`)
  const stand = await keep(standUp(place, 'nodes', { web: { replicas: 4, cpu: nodeCpu } }, (slugs, tokens) => readMix(slugs, tokens)))
  const mixes = { 'nodes, read mix of people': stand.requests, 'nodes, read mix of anybody': readMix((await sampleArticles(stand.server.url, articlePages)).slugs, null) }
  const rows: Record<string, Rows> = {}
  for (const [part, requests] of Object.entries(mixes)) {
    await give(stand, 4)
    await warm(stand, requests)
    rows[part] = await inTurn(part, ['1', '2', '4'], async count => {
      await give(stand, Number(count))
      await warm(stand, requests, refreshMs)
      return measure({ ...stand, requests }, connectionsPerNode * Number(count))
    })
  }
  return rows
}

async function databasePart(place: Place, keep: KeepStand): Promise<Record<string, Rows>> {
  say(`servers of ${serverCpu} core: starting …`)
  const unkept = { cache: { driver: 'none' } }
  const database = { driver: 'postgres', embedded: true, settings: 'machine', cpu: 1 }
  const requests = (_: readonly string[], tokens: readonly string[]) => listMix(tokens)
  const stands: Readonly<Record<string, Stand>> = {
    alone: await keep(standUp(place, 'alone', { web: { replicas: 2 }, ports: { ...unkept, database } }, requests)),
    'with 2 replicas': await keep(standUp(place, 'replicated', { web: { replicas: 2 }, ports: { ...unkept, database: { ...database, replicas: 2, synchronous: 1 } } }, requests)),
  }
  // So little that they would hardly start, but the nodes have the rest of the machine.
  for (const stand of Object.values(stands)) for (const pid of stand.servers) await limit(pid, serverCpu)
  return { 'database, lists': await inTurn('database, lists', Object.keys(stands), name => measure(stands[name]!, connectionsPerNode * 2)) }
}

const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
await chmod(folder, 0o755)
const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
const keep: KeepStand = async starting => {
  const stand = await starting
  closers.push(() => stand.server.stop())
  return stand
}
/** Whoever ends it ends what it has started, too. */
process.once('SIGTERM', () => { void Promise.all(closers.slice(1).map(close => close().catch(() => {}))).finally(() => process.exit(1)) })
try {
  const place = { folder, data: path.resolve(options.data ?? path.join(folder, 'data')) }
  await prepare(place.data)
  const parts = options.parts.split(',')
  const rows = { ...parts.includes('nodes') ? await nodesPart(place, keep) : {}, ...parts.includes('database') ? await databasePart(place, keep) : {} }
  const at = new Date().toISOString()
  const ratios = Object.fromEntries(Object.entries(rows).flatMap(([part, contenders]) => {
    const [first, ...others] = Object.entries(contenders)
    return others.map(([name, round]) => [`${part}: ${name} / ${first![0]}`, Number((round.requestsPerSecond / first![1].requestsPerSecond).toFixed(3))])
  }))
  const result = { at, commit: commitText(), machine: machineText(), rounds, durationMs, warmupMs, nodeCpu, serverCpu, connectionsPerNode, rows, ratios }
  const file = path.join(rootFolder, 'bench/results', `${at.slice(0, 10)}-${result.commit}-scaled.json`)
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`)
  process.stdout.write(`${Object.entries(ratios).map(([name, value]) => `${name} ${value}`).join('\n')}\n${file}\n`)
} finally {
  for (const close of closers.toReversed()) await close().catch((error: unknown) => { say(String(error)) })
}
