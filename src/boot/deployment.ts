/**
 * A deployment on this machine: the data folder, the embedded Postgres if the topology has
 * one, and the processes. `tenfold start` is this, and a name for the terminal.
 */
import { createHmac } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { CpuQuotas } from '../base/cpu-quota.ts'
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { MetricRegistry } from '../base/metric-registry.ts'
import { randomHex } from '../base/random.ts'
import { dataFolderLock } from '../drivers/process/data-folder.ts'
import { openProcessOrchestrator } from '../drivers/process/orchestrator.ts'
import { Spares } from '../drivers/process/spare.ts'
import type { Standby } from '../drivers/process/spare.ts'
import type { Orchestrator, ProcessSpec } from '../ports/orchestrator.ts'
import { firstProcessCountOf, limitsCpu } from '../topology/plan.ts'
import type { Plan, PlannedProcess } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'
import { Autoscaler, startAutoscaler } from './autoscaler.ts'
import { startBalancer } from './balancer.ts'
import { startBroker } from './broker.ts'
import { startCdn } from './cdn.ts'
import { databaseOf } from './database.ts'
import { distanceOf } from './distance.ts'
import { engineMetrics } from './engine-metrics.ts'
import type { EngineMetrics } from './engine-metrics.ts'
import type { LogBook } from './log-book.ts'
import { measureMachine } from './machine-metrics.ts'
import { learnFrom } from './planner.ts'
import { measurementsOf } from './measured-engines.ts'
import { measureProcess } from './process-metrics.ts'
import { startRedis } from './redis.ts'

/** Beside this file, with its ending: .ts in a checkout, .js when published. */
const processFile = fileURLToPath(new URL(`./process${path.extname(fileURLToPath(import.meta.url))}`, import.meta.url))

export interface DeploymentOptions {
  readonly appFile: string
  readonly topologyName: string
  readonly topologyFile: string
  readonly dataFolder: string
  readonly host: string
  /** Overrides the topology's port. */
  readonly port?: number | undefined
  readonly log: Logger
  /** Takes what the processes print; without it that goes where this process prints. */
  readonly book?: LogBook
  readonly env?: Readonly<Record<string, string>>
  /**
   * The process that waits beside those that run, for a crash or a change: with the whole
   * `application`, which a restart replaces too, or with the `framework` only, which a
   * change of the application leaves good. None unless told otherwise.
   */
  readonly standby?: 'application' | 'framework'
  /** Aborted while it starts, it is given up, and what has started is stopped: see deploy. */
  readonly signal?: AbortSignal
}

/** The application's waits for a crash and need not be there soon; the framework's is for the next change. */
const standbys: Readonly<Record<'application' | 'framework', Standby>> = {
  application: { loads: 'application', pauseMs: 5_000 },
  framework: { loads: 'framework', pauseMs: 300 },
}

export interface Deployment {
  readonly plan: Plan
  readonly topology: Topology
  /** What it was started from. */
  readonly source: Pick<DeploymentOptions, 'appFile' | 'topologyFile' | 'dataFolder' | 'log'>
  readonly url: string
  /** Of the CDN that was started in front; null without one. */
  readonly cdnUrl: string | null
  readonly databaseUrl: string
  /** Null where the topology has no broker. */
  readonly brokerUrl: string | null
  /** Signs and names what is the deployment's own. */
  readonly secret: Buffer
  readonly orchestrator: Orchestrator
  /** What the supervisor measures of itself; null when nothing is measured. */
  readonly metrics: MetricRegistry | null
  readonly engineMetrics: EngineMetrics
  /** Null when the topology scales nothing. */
  readonly autoscaler: Autoscaler | null
  /** The log of all processes; null where nobody keeps one. */
  readonly book: LogBook | null
  /** Whoever shows it may change the deployment: see adminTokenOf. */
  readonly adminToken: string
  /** Replaces every process, one at a time, by one that runs the source as it is now; no request fails. */
  restart(): Promise<void>
  stop(): Promise<void>
}

/** Rejects when it cannot start, and when its signal is aborted meanwhile: then nothing of it runs any more. */
export async function deploy(options: DeploymentOptions): Promise<Deployment> {
  const closers = new Closers()
  const { signal } = options
  // What the start waits for ends, so that it fails; what it has begun by then is stopped below.
  const giveUp = () => { void closers.close().catch(() => {}) }
  signal?.addEventListener('abort', giveUp, { once: true })
  try {
    const deployment = await start(options, closers)
    if (signal?.aborted) throw fault('UNAVAILABLE', 'the start was given up')
    signal?.removeEventListener('abort', giveUp)
    return deployment
  } catch (error) {
    await closers.close().catch(() => {})
    throw error
  }
}

async function start(options: DeploymentOptions, closers: Closers): Promise<Deployment> {
  const lock = await dataFolderLock(options.dataFolder)
  closers.add(() => lock.release())
  const { book } = options
  book?.open(options.dataFolder)
  closers.add(() => book?.close())
  const spares = new Spares({ command: [processFile], log: options.log, pipesOutput: book !== undefined, env: {
    ...options.env, TENFOLD_APP: options.appFile, TENFOLD_TOPOLOGY: options.topologyFile, TENFOLD_TOPOLOGY_NAME: options.topologyName, TENFOLD_DATA: options.dataFolder,
  } })
  closers.add(() => spares.dismiss())
  // The processes of the topology load while Postgres starts; the first tells what the others are for.
  const learning = learnFrom(spares.start('application'), options.appFile)
  const topology = await learning.topology
  // Before anything is started that would have to be limited.
  const quotas = limitsCpu(topology) ? new CpuQuotas(options.dataFolder) : null
  closers.add(() => quotas?.close())
  for (let index = 1; index < firstProcessCountOf(topology, availableParallelism()); index++) spares.start('application')
  const secretRead = secretOf(options.dataFolder)
  const brokerStarted = secretRead.then(secret => startBroker(topology.ports.broker, { ...options, secret: Buffer.from(secret, 'hex') }, closers))
  const parts = [learning.plan, databaseOf(topology, { ...options, quotas }, closers), secretRead, brokerStarted] as const
  // A Postgres that is just starting must be there to be stopped when there is no plan.
  await Promise.allSettled(parts)
  const [plan, databaseUrl, secret, brokerUrl] = await Promise.all(parts)
  const redisUrls = await startRedis(topology.ports, { dataFolder: options.dataFolder, secret: Buffer.from(secret, 'hex'), log: options.log }, closers)
  const port = options.port ?? topology.ports.ingress.port
  const balancer = await startBalancer({ plan, host: options.host, port, dataFolder: options.dataFolder, log: options.log })
  const orchestrator = openProcessOrchestrator({ log: options.log, spares, balancer, quotas, distance: balancer && distanceOf({ dataFolder: options.dataFolder, urls: [databaseUrl, brokerUrl] }), limitsConnections: process.env.TENFOLD_LIMITER !== 'off', onOutput: book && ((process, stdout, stderr) => book.follow(process, stdout, stderr)) })
  closers.add(() => orchestrator.stop(limits.drainMs))
  if (balancer) closers.add(() => balancer.close(limits.drainMs))
  const metrics = process.env.TENFOLD_METRICS === 'off' ? null : new MetricRegistry()
  if (metrics) {
    closers.add(measureProcess(metrics))
    measureMachine(metrics, options.dataFolder)
  }
  const engines = measurementsOf(topology.ports, { databaseUrl, redisUrls, brokerUrl, balancer, secret: Buffer.from(secret, 'hex'), log: options.log }, closers)
  const measured = engineMetrics(engines, options.log)
  let generation = 1
  const counts = new Map(Object.entries(await Autoscaler.counts(options.dataFolder)))
  const countOf = ({ name, replicas, scale }: PlannedProcess): number => scale ? Math.min(scale.max, Math.max(scale.min, counts.get(name) ?? replicas)) : replicas
  const apply = () => orchestrator.apply(plan.processes.map((process): ProcessSpec => ({
    name: process.name, replicas: countOf(process), ...process.cpu === null ? {} : { cpu: process.cpu },
    command: [processFile],
    ...process.does === 'background' ? {} : balancer ? { isBalanced: true } : { listen: { host: options.host, port } },
    env: {
      ...options.env, TENFOLD_APP: options.appFile, TENFOLD_TOPOLOGY: options.topologyFile, TENFOLD_DATABASE_URL: databaseUrl, ...brokerUrl === null ? {} : { TENFOLD_BROKER_URL: brokerUrl },
      TENFOLD_SECRET: secret, ...balancer ? { TENFOLD_LISTENS: 'itself', TENFOLD_HOST: '127.0.0.1', TENFOLD_PORT: '0' } : { TENFOLD_HOST: options.host, TENFOLD_PORT: String(port) }, TENFOLD_DATA: options.dataFolder,
      TENFOLD_DOES: process.does, ...process.cpu === null ? {} : { TENFOLD_CPU: String(process.cpu) }, TENFOLD_PROCESS_COUNT: String(plan.processCount), TENFOLD_GENERATION: String(generation),
    },
  })))
  await apply()
  if (options.standby) spares.keep(standbys[options.standby])
  const cdnUrl = await startCdn(topology.ports.cdn, { plan, secret: Buffer.from(secret, 'hex'), origin: { host: options.host, port }, dataFolder: options.dataFolder, log: options.log }, closers)
  const autoscaler = await startAutoscaler({
    plan, dataFolder: options.dataFolder, log: options.log, orchestrator, measured,
    countOf: name => countOf(plan.processes.find(one => one.name === name)!),
    scale: async (name, count) => { counts.set(name, count); await apply() },
  }, closers)
  let stopping: Promise<void> | undefined
  return {
    plan, topology, source: options, databaseUrl, brokerUrl, secret: Buffer.from(secret, 'hex'), orchestrator, book: book ?? null, metrics, engineMetrics: measured, autoscaler, url: `http://${options.host}:${port}`, cdnUrl, adminToken: adminTokenOf(secret),
    // A spec with another generation is a changed one, which the orchestrator rolls.
    restart: async () => {
      generation++
      if (options.standby !== 'framework') await spares.dismiss()
      try { await apply() } finally {
        if (options.standby && !stopping) spares.keep(standbys[options.standby])
      }
    },
    stop: () => stopping ??= closers.close(),
  }
}

/** Only who may read the data folder can make it. */
const adminTokenOf = (secret: string): string => createHmac('sha256', secret).update('tenfold admin').digest('base64url')

/** The admin token of the deployment on this folder; null when there has been none. */
export async function readAdminToken(dataFolder: string): Promise<string | null> {
  const secret = await readFile(path.join(dataFolder, 'secret'), 'utf8').catch(() => null)
  return secret === null ? null : adminTokenOf(secret.trim())
}

/** The deployment's own secret, made once: it signs consistency tokens. */
async function secretOf(dataFolder: string): Promise<string> {
  const file = path.join(dataFolder, 'secret')
  if (!existsSync(file)) await writeFile(file, randomHex(32), { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error })
  return (await readFile(file, 'utf8')).trim()
}
