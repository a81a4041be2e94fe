/**
 * How long a start takes and what it holds when idle: the first start on an empty data
 * folder, then later ones, as `npm start` runs them. Wall clock counts; the CPU time beside
 * it tells how much of that was the machine being busy with something else.
 *
 *   node bench/start.ts [--later 5] [--idle-seconds 10] [--json]
 */
import { chmod, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from './conduit.ts'
import { cpuMicroseconds } from './cpu-time.ts'
import { startServer } from './process.ts'
import type { Environment, Server } from './process.ts'
import { machineText } from './table.ts'

const { values: options } = parseArgs({ options: {
  later: { type: 'string', default: '5' },
  'idle-seconds': { type: 'string', default: '10' },
  json: { type: 'boolean', default: false },
} })

const wanted = { firstMs: 5_000, laterMs: 2_000, megabytes: 150 }

interface Start { readonly wallMs: number; readonly cpuMs: number | null; readonly server: Server }

async function start(env: Environment): Promise<Start> {
  const before = performance.now()
  const server = await startServer(['scripts/bootstrap.mjs', 'start'], env)
  const cpu = cpuMicroseconds(server.pid)
  return { server, wallMs: performance.now() - before, cpuMs: cpu === null ? null : cpu / 1_000 }
}

/** Resident megabytes of the Node processes below a pid, by the file that each one runs. */
async function memoryOf(root: number): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
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
    if (script && belongs(pid)) found[path.basename(script)] = Math.round(megabytes)
  }
  return found
}

const median = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)]!

async function main(): Promise<void> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-start-'))
  // Postgres may run as another user, who must be able to walk here.
  await chmod(folder, 0o755)
  const env: Environment = { PORT: String(await freePort()), ADMIN_PORT: String(await freePort()), TENFOLD_DATA: path.join(folder, 'data'), LOG_LEVEL: 'warn' }
  try {
    const first = await start(env)
    await sleep(Number(options['idle-seconds']) * 1_000)
    const memory = await memoryOf(first.server.pid)
    await first.server.stop()
    const later: Start[] = []
    for (let index = 0; index < Number(options.later); index++) {
      later.push(await start(env))
      await later.at(-1)!.server.stop()
    }
    const figures = {
      firstMs: Math.round(first.wallMs), firstCpuMs: first.cpuMs,
      laterMs: Math.round(median(later.map(one => one.wallMs))), laterCpuMs: first.cpuMs === null ? null : median(later.map(one => one.cpuMs!)),
      idleMegabytes: memory, wanted, machine: machineText(),
    }
    process.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : `first start  ${figures.firstMs} ms (CPU ${figures.firstCpuMs} ms), wanted ${wanted.firstMs}
later start  ${figures.laterMs} ms (CPU ${figures.laterCpuMs} ms), median of ${later.length}, wanted ${wanted.laterMs}
idle memory  ${Object.entries(memory).map(([name, megabytes]) => `${name} ${megabytes} MB`).join(', ')}; wanted ${wanted.megabytes} for process.ts
${figures.machine}\n`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

await main()
