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
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { MetricRegistry } from '../base/metric-registry.ts'
import { randomHex } from '../base/random.ts'
import { startPostgresServer } from '../drivers/postgres/server.ts'
import { machineHere } from '../drivers/postgres/server-settings.ts'
import { dataFolderLock, livingHolder } from '../drivers/process/data-folder.ts'
import { openProcessOrchestrator } from '../drivers/process/orchestrator.ts'
import type { Orchestrator, ProcessSpec } from '../ports/orchestrator.ts'
import { measureProcess } from '../runtime/process-metrics.ts'
import { processCountOf } from '../topology/plan.ts'
import type { Plan } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'
import { startCdn } from './cdn.ts'
import { loadTopology } from './load.ts'
import { readPlan } from './planner.ts'

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
  readonly env?: Readonly<Record<string, string>>
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
  readonly orchestrator: Orchestrator
  /** What the supervisor measures of itself; null when nothing is measured. */
  readonly metrics: MetricRegistry | null
  /** Whoever shows it may change the deployment: see adminTokenOf. */
  readonly adminToken: string
  /** Replaces every process, one at a time, by one that runs the source as it is now; no request fails. */
  restart(): Promise<void>
  stop(): Promise<void>
}

export async function deploy(options: DeploymentOptions): Promise<Deployment> {
  const closers = new Closers()
  try {
    return await start(options, closers)
  } catch (error) {
    await closers.close().catch(() => {})
    throw error
  }
}

async function start(options: DeploymentOptions, closers: Closers): Promise<Deployment> {
  const lock = await dataFolderLock(options.dataFolder)
  closers.add(() => lock.release())
  const topology = await loadTopology(options.topologyFile)
  const [plan, databaseUrl, secret] = await Promise.all([
    readPlan(options), databaseOf(topology, options, closers), secretOf(options.dataFolder),
  ])
  const port = options.port ?? topology.ports.ingress.port
  const orchestrator = openProcessOrchestrator({ log: options.log })
  closers.add(() => orchestrator.stop(limits.drainMs))
  const metrics = process.env.TENFOLD_METRICS === 'off' ? null : new MetricRegistry()
  if (metrics) closers.add(measureProcess(metrics))
  let generation = 1
  const apply = () => orchestrator.apply(plan.processes.map((process): ProcessSpec => ({
    name: process.name, replicas: process.replicas,
    command: [processFile],
    listen: process.does === 'background' ? undefined : { host: options.host, port },
    env: {
      ...options.env, TENFOLD_APP: options.appFile, TENFOLD_TOPOLOGY: options.topologyFile, TENFOLD_DATABASE_URL: databaseUrl,
      TENFOLD_SECRET: secret, TENFOLD_HOST: options.host, TENFOLD_PORT: String(port), TENFOLD_DATA: options.dataFolder,
      TENFOLD_DOES: process.does, TENFOLD_PROCESS_COUNT: String(plan.processCount), TENFOLD_GENERATION: String(generation),
    },
  })))
  await apply()
  const cdnUrl = await startCdn(topology.ports.cdn, { plan, secret: Buffer.from(secret, 'hex'), origin: { host: options.host, port }, dataFolder: options.dataFolder, log: options.log }, closers)
  let stopping: Promise<void> | undefined
  return {
    plan, topology, source: options, databaseUrl, orchestrator, metrics, url: `http://${options.host}:${port}`, cdnUrl, adminToken: adminTokenOf(secret),
    // A spec with another generation is a changed one, which the orchestrator rolls.
    restart: () => { generation++; return apply() },
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

/** The url of the database; starts the embedded one when the topology asks for it. A guest leaves a server that ran before as it is. */
export async function databaseOf(topology: Topology, { dataFolder, log }: Pick<DeploymentOptions, 'dataFolder' | 'log'>, closers: Closers, isGuest = false): Promise<string> {
  const { database } = topology.ports
  if ('url' in database) {
    if (typeof database.url === 'string') return database.url
    const url = process.env[database.url.env]
    if (!url) throw fault('USAGE', `the topology takes the database from the environment variable ${database.url.env}, which is not set; set it to postgres://user:password@host:port/database`)
    return url
  }
  // One more runs while they are restarted.
  const machine = machineHere(processCountOf(topology, availableParallelism()) + 1, database.settings === 'machine')
  const server = await startPostgresServer({ dataFolder, log, machine })
  closers.add(() => isGuest && server.adopted ? server.detach() : server.stop())
  return server.url
}

/** True while a deployment runs on this data folder. */
export const isDeployed = (dataFolder: string): Promise<boolean> => livingHolder(dataFolder).then(pid => pid !== null)

/** The deployment's own secret, made once: it signs consistency tokens. */
async function secretOf(dataFolder: string): Promise<string> {
  const file = path.join(dataFolder, 'secret')
  if (!existsSync(file)) await writeFile(file, randomHex(32), { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error })
  return (await readFile(file, 'utf8')).trim()
}
