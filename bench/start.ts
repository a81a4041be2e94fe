/**
 * How long a start takes and what it holds when idle: first starts on an empty data folder
 * and later ones, as `npm start` runs them; then how long a crash and a change under
 * `tenfold dev` take until somebody is answered again. Wall clock counts; the CPU time
 * beside it tells how much of that was the machine being busy with something else.
 *
 *   node bench/start.ts [--rounds 5] [--idle-seconds 10] [--json]
 */
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from './conduit.ts'
import { cpuMicroseconds } from './cpu-time.ts'
import { rootFolder, startServer } from './process.ts'
import type { Environment, Server } from './process.ts'
import { machineText } from './table.ts'

const { values: options } = parseArgs({ options: {
  rounds: { type: 'string', default: '5' },
  'idle-seconds': { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
} })

const wanted = { firstMs: 5_000, laterMs: 2_000, crashMs: 2_000, changeMs: 1_000, megabytes: 150 }
const rounds = Number(options.rounds)
/** Between crashes: longer than a process must run to be started again at once, and than a standby takes. */
const steadySeconds = 12
const editSeconds = 4

interface Took { readonly wallMs: number; readonly cpuMs: number | null }
interface Start extends Took { readonly server: Server }

async function start(env: Environment): Promise<Start> {
  const before = performance.now()
  const server = await startServer(['scripts/bootstrap.mjs', 'start'], env)
  const cpu = cpuMicroseconds(server.pid)
  return { server, wallMs: performance.now() - before, cpuMs: cpu === null ? null : cpu / 1_000 }
}

/** From now until `served` holds; the CPU time is that of the deployment. */
async function timed({ pid }: Server, served: () => Promise<boolean>): Promise<Took> {
  const [before, cpuBefore] = [performance.now(), cpuMicroseconds(pid)]
  while (!await served().catch(() => false)) await sleep(5)
  const cpu = cpuMicroseconds(pid)
  return { wallMs: performance.now() - before, cpuMs: cpu === null || cpuBefore === null ? null : (cpu - cpuBefore) / 1_000 }
}

/** A connection of its own for each question: a kept one stays with who it was made to. */
const ask = (url: string, init: RequestInit = {}) => fetch(url, { ...init, headers: { 'content-type': 'application/json', connection: 'close' } })

async function crashes(env: Environment): Promise<Took[]> {
  const { server } = await start(env)
  const took: Took[] = []
  try {
    for (let round = 0; round < rounds; round++) {
      await sleep(steadySeconds * 1_000)
      const { processes } = await (await ask(`http://127.0.0.1:${env.ADMIN_PORT}/status`)).json() as { processes: { pid: number }[] }
      process.kill(processes[0]!.pid, 'SIGKILL')
      took.push(await timed(server, async () => (await ask(`${server.url}/health`)).ok))
    }
    return took
  } finally { await server.stop() }
}

/** The starter application, changed in one file; inside the checkout, so that the package finds itself by its name. */
async function changes(env: Environment): Promise<Took[]> {
  await mkdir(path.join(rootFolder, '.tenfold'), { recursive: true })
  const folder = await mkdtemp(path.join(rootFolder, '.tenfold/bench-'))
  await cp(path.join(rootFolder, 'examples/starter'), folder, { recursive: true })
  const file = path.join(folder, 'services/notes/index.ts')
  const source = await readFile(file, 'utf8')
  try {
    const server = await startServer(['src/cli/main.ts', 'dev', '--app', path.join(folder, 'app.ts')], env)
    const took: Took[] = []
    try {
      for (let round = 0; round < rounds; round++) {
        await sleep(editSeconds * 1_000)
        await writeFile(file, source.replace('newId(), author, text })', `newId(), author, text: 'round ${round}' })`))
        took.push(await timed(server, async () => (await (await ask(`${server.url}/authors/jane/notes`, { method: 'POST', body: '{"text":"hello"}' })).text()).includes(`round ${round}`)))
      }
      return took
    } finally { await server.stop() }
  } finally { await rm(folder, { recursive: true, force: true }) }
}

/** Resident megabytes of the Node processes below a pid, by the file that each one runs; the second process.ts is on standby. */
async function memoryOf(root: number): Promise<Record<string, number[]>> {
  const found: Record<string, number[]> = {}
  if (process.platform !== 'linux') return found
  const processes = new Map<number, { parent: number; megabytes: number; command: string[] }>()
  for (const entry of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
    const [status, command] = await Promise.all([readFile(`/proc/${entry}/status`, 'utf8'), readFile(`/proc/${entry}/cmdline`, 'utf8')]).catch(() => ['', ''])
    const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? Number.NaN)
    processes.set(Number(entry), { parent: field('PPid'), megabytes: field('VmRSS') / 1_024, command: command.split('\0') })
  }
  const belongs = (pid: number): boolean => pid === root || (processes.has(pid) && belongs(processes.get(pid)!.parent))
  for (const [pid, { megabytes, command }] of processes) {
    const script = command.find(one => /\.(ts|mjs)$/.test(one))
    if (script && belongs(pid)) (found[path.basename(script)] ??= []).push(Math.round(megabytes))
  }
  return found
}

const median = (numbers: readonly number[]) => Math.round([...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!)
const medianOf = (took: readonly Took[]) => ({ wallMs: median(took.map(one => one.wallMs)), cpuMs: took.some(one => one.cpuMs === null) ? null : median(took.map(one => one.cpuMs!)), of: took.length })

async function inFolder<T>(work: (env: Environment) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-start-'))
  // Postgres may run as another user, who must be able to walk here.
  await chmod(folder, 0o755)
  try {
    return await work({ PORT: String(await freePort()), ADMIN_PORT: String(await freePort()), TENFOLD_DATA: path.join(folder, 'data'), LOG_LEVEL: 'warn' })
  } finally { await rm(folder, { recursive: true, force: true }) }
}

async function startAndStop(env: Environment): Promise<Took> {
  const { server, ...took } = await start(env)
  await server.stop()
  return took
}

async function main(): Promise<void> {
  const first: Took[] = []
  for (let round = 1; round < rounds; round++) first.push(await inFolder(startAndStop))
  const [memory, later, crash] = await inFolder(async env => {
    const { server, ...took } = await start(env)
    first.push(took)
    await sleep(Number(options['idle-seconds']) * 1_000)
    const memory = await memoryOf(server.pid)
    await server.stop()
    const later: Took[] = []
    for (let round = 0; round < rounds; round++) later.push(await startAndStop(env))
    return [memory, later, await crashes(env)] as const
  })
  const figures = { first: medianOf(first), later: medianOf(later), crash: medianOf(crash), change: medianOf(await inFolder(changes)), idleMegabytes: memory, wanted, machine: machineText() }
  const line = (what: string, { wallMs, cpuMs, of }: ReturnType<typeof medianOf>, wantedMs: number) => `${what}  ${wallMs} ms (CPU ${cpuMs} ms), median of ${of}, wanted ${wantedMs}\n`
  process.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : `${line('first start', figures.first, wanted.firstMs)}${line('later start', figures.later, wanted.laterMs)}${
    line('crash to served', figures.crash, wanted.crashMs)}${line('change to served under dev', figures.change, wanted.changeMs)
  }idle memory  ${Object.entries(memory).map(([name, megabytes]) => `${name} ${megabytes.join(' and ')} MB`).join(', ')}; wanted ${wanted.megabytes} for each process.ts
${figures.machine}\n`)
}

await main()
