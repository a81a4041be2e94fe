/**
 * Limits of processor time: what a topology may say, where the groups go, and that processes,
 * and Postgres with all it starts, are kept to them.
 */
import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { cpuCoresMin, CpuQuotas, quotaMend } from '../../src/base/cpu-quota.ts'
import type { CgroupView } from '../../src/base/cpu-quota.ts'
import { isTenfoldError } from '../../src/base/errors.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { startPostgresServer } from '../../src/drivers/postgres/server.ts'
import { openProcessOrchestrator } from '../../src/drivers/process/orchestrator.ts'
import { serverOf } from '../../src/drivers/haproxy/configuration.ts'
import type { Topology } from '../../src/index.ts'
import { checkTopology, limitsCpu, planOf } from '../../src/topology/plan.ts'
import { app } from '../../examples/conduit/app.ts'
import tuned from '../../examples/conduit/topologies/2-tuned.ts'

const skip = quotaMend() ?? false
const orchestratedProcess = path.join(import.meta.dirname, '../fixtures/orchestrated-process.ts')

async function temporaryFolder(context: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-quota-'))
  context.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await chmod(folder, 0o755)
  return folder
}

const isUnsupported = (pattern: RegExp) => (error: unknown) => isTenfoldError(error) && error.code === 'NOT_SUPPORTED' && pattern.test(error.message)
/** The group of a process, of those that limit processor time. */
const groupOf = async (pid: number) => (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map(line => line.split(':')).find(([, controllers]) => controllers === '' || controllers?.split(',').includes('cpu') === true)?.[2] ?? ''

test('a topology may limit its processes and its database servers', () => {
  const withCpu = (cpu: number, databaseCpu?: number): Topology => ({ ...tuned, processes: { ...tuned.processes, web: { runs: 'everything', does: 'everything', replicas: 1, cpu } }, ports: { ...tuned.ports, database: { ...tuned.ports.database, cpu: databaseCpu } } }) as Topology
  assert.deepEqual(checkTopology(app, withCpu(0.2, 0.5)), [])
  assert.equal(planOf(app, 'name', withCpu(0.2), 2).processes.find(one => one.name === 'web')!.cpu, 0.2)
  assert.deepEqual([limitsCpu(tuned), limitsCpu(withCpu(0.2)), planOf(app, 'name', tuned, 2).processes[0]!.cpu], [false, true, null])
  for (const cpu of [0, -1, 0.01, NaN, Infinity]) assert.match(checkTopology(app, withCpu(cpu)).join(), /^processes\.web\.cpu is \S+; write a number of cores of at least 0\.05/)
  assert.match(checkTopology(app, withCpu(1, 0)).join(), /ports\.database\.cpu is 0/)
  const given = { ...tuned, ports: { ...tuned.ports, database: { driver: 'postgres', url: 'postgres://a', cpu: 1 } } } as unknown as Topology
  assert.match(checkTopology(app, given).join(), /ports\.database\.cpu is for the embedded server/)
})

test('a node with a limit gets its share of the requests', () => {
  const weightOf = (share?: number) => /weight (\d+) .* maxconn (\d+)/.exec(serverOf({ name: 'web', host: '127.0.0.1', port: 1, share }, { checkMs: 1, slowStartMs: 1, nodeRequestsMax: 512, refusalsMax: 1 }))!.slice(1).map(Number)
  assert.deepEqual([weightOf(), weightOf(0.2), weightOf(2)], [[100, 512], [20, 103], [100, 512]])
})

/** A tree of files like that of version 2, with what is enabled in each group. */
async function unifiedTree(context: TestContext, groups: Readonly<Record<string, { readonly controllers: string; readonly enabled: string }>>, own: string): Promise<{ folder: string; view: CgroupView }> {
  const folder = await temporaryFolder(context)
  for (const [group, { controllers, enabled }] of Object.entries(groups)) {
    await mkdir(path.join(folder, group), { recursive: true })
    await writeFile(path.join(folder, group, 'cgroup.controllers'), controllers)
    await writeFile(path.join(folder, group, 'cgroup.subtree_control'), enabled)
  }
  return { folder, view: { platform: 'linux', mounts: `30 20 0:26 / ${folder} rw,nosuid - cgroup2 cgroup rw,nsdelegate\n`, groups: `0::${own}\n` } }
}

test('with version 2 the groups lie below the nearest one that hands down processor time (on a tree of files)', async context => {
  const { folder, view } = await unifiedTree(context, { '': { controllers: 'cpuset cpu', enabled: 'cpu' }, slice: { controllers: 'cpu memory', enabled: 'cpu' }, 'slice/unit': { controllers: 'memory', enabled: '' } }, '/slice/unit')
  const limited = (name: string) => readFile(path.join(folder, 'slice', name), 'utf8')
  // The kernel fills a new group with these.
  const made = path.join('slice', await nameOfGroup(view))
  await mkdir(path.join(folder, made), { recursive: true })
  for (const file of ['cgroup.controllers', 'cgroup.subtree_control']) await writeFile(path.join(folder, made, file), 'cpu')
  const quotas = new CpuQuotas('scope', view)
  quotas.limit('web', 0.2).add(4_711)
  const [group] = [path.basename(made)]
  assert.deepEqual([await limited(`${group}/web/cpu.max`), await limited(`${group}/web/cgroup.procs`)], ['2000 10000', '4711'])
  quotas.limit('small', 0.05)
  assert.equal(await limited(`${group}/small/cpu.max`), '1000 20000')
})

/** As the refusal tells it, where it cannot be made. */
async function nameOfGroup(view: CgroupView): Promise<string> {
  try { new CpuQuotas('scope', view) } catch (error) { return /tenfold-[0-9a-f]+/.exec((error as Error).message)![0] }
  throw new Error('a folder of files alone is no group')
}

test('where there are no groups the refusal says why, and what to do', async context => {
  const nothing = { platform: 'linux', mounts: '', groups: '' }
  assert.throws(() => new CpuQuotas('scope', { ...nothing, platform: 'darwin' }), isUnsupported(/this is darwin.*leave cpu out/))
  assert.throws(() => new CpuQuotas('scope', nothing), isUnsupported(/none are mounted/))
  const { view } = await unifiedTree(context, { '': { controllers: 'memory', enabled: '' } }, '/')
  assert.throws(() => new CpuQuotas('scope', view), isUnsupported(/can hand down the controller cpu/))
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  await assert.rejects(orchestrator.apply([{ name: 'web', replicas: 1, cpu: 0.2, command: [orchestratedProcess], env: {} }]), isUnsupported(/web is to use 0\.2 cores/))
  assert.deepEqual(orchestrator.observe(), [])
})

test('a process that is limited uses no more, one that is not does (the negative control)', { skip }, async context => {
  const quotas = new CpuQuotas(await temporaryFolder(context))
  const cores = cpuCoresMin
  const burn = async (isLimited: boolean) => {
    const child = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' })
    const group = quotas.limit('burner', cores)
    try {
      if (isLimited) group.add(child.pid!)
      const cpuSeconds = async () => Number((await readFile(`/proc/${child.pid}/schedstat`, 'utf8')).split(' ')[0]) / 1e9
      await sleep(300)
      const [from, fromMs] = [await cpuSeconds(), monotonicMs()]
      await sleep(1_000)
      return { used: (await cpuSeconds() - from) / (monotonicMs() - fromMs) * 1_000, ...group.read() }
    } finally {
      child.kill('SIGKILL')
      await new Promise(resolve => child.once('exit', resolve))
      group.remove()
    }
  }
  const limited = await burn(true)
  let free = await burn(false)
  // A machine that is busy gives it little for a while.
  for (let attempt = 0; attempt < 5 && free.used < cores * 1.5; attempt++) free = await burn(false)
  context.diagnostic(`asked ${cores} cores, got ${limited.used.toFixed(3)}; without a limit ${free.used.toFixed(3)}`)
  assert.ok(limited.used < cores * 1.3, `${limited.used} cores`)
  assert.ok(limited.throttled > 0 && limited.throttled <= limited.periods)
  assert.ok(free.used > cores * 1.5 && free.throttled === 0, `without a limit ${free.used} cores`)
  quotas.close()
})

test('every process of a limited part has a group of its own, also when it was started again; at the end none is left', { skip }, async context => {
  const quotas = new CpuQuotas(await temporaryFolder(context))
  const orchestrator = openProcessOrchestrator({ log: silentLogger, quotas })
  await orchestrator.apply([{ name: 'web', replicas: 2, cpu: 0.5, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }, { name: 'worker', replicas: 1, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  const groups = async () => Promise.all(orchestrator.observe().map(async ({ name, replica, pid }) => ({ name, group: await groupOf(pid!), own: `/web-${replica}-${pid}` })))
  const check = async () => { for (const { name, group, own } of await groups()) assert.equal(group.endsWith(own), name === 'web', `${name} is in ${group}`) }
  await check()
  const first = orchestrator.observe()[0]!.pid!
  process.kill(first, 'SIGKILL')
  while (orchestrator.observe()[0]?.state !== 'ready' || orchestrator.observe()[0]?.pid === first) await sleep(5)
  await check()
  await orchestrator.stop(1_000)
  quotas.close()
  const before = await groupOf(process.pid)
  assert.equal(await groupOf(process.pid), before, 'nobody else was moved')
})

test('Postgres is limited with all it starts, also one that ran before', { skip, timeout: 60_000 }, async context => {
  const dataFolder = await temporaryFolder(context)
  const quotas = new CpuQuotas(dataFolder)
  context.after(() => quotas.close())
  /** While the connection that asks is open: a process that ends is shown in no group before it is gone. */
  const check = async (url: string, pid: number, group: string) => {
    const client = new pg.Client(url)
    await client.connect()
    try {
      const { rows } = await client.query<{ pid: number }>('SELECT pid FROM pg_stat_activity')
      for (const one of [pid, ...rows.map(row => row.pid)]) assert.ok((await groupOf(one).catch(() => group)).endsWith(group), `${one} is not in ${group}`)
    } finally { await client.end() }
  }
  const first = await startPostgresServer({ dataFolder, log: silentLogger, group: quotas.limit('first', 1) })
  await check(first.url, first.pid!, '/first')
  first.detach()
  const adopting = await startPostgresServer({ dataFolder, log: silentLogger, group: quotas.limit('second', 1) })
  try {
    assert.equal(adopting.adopted, true)
    await check(adopting.url, adopting.pid!, '/second')
  } finally {
    await adopting.stop()
    if (adopting.socketFolder) await rm(adopting.socketFolder, { recursive: true, force: true })
  }
})
