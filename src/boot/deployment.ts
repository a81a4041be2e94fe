/**
 * A deployment on this machine: the data folder, the embedded Postgres if the topology has
 * one, and the processes. `tenfold start` is this, and a name for the terminal.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { randomHex } from '../base/random.ts'
import { startPostgresServer } from '../drivers/postgres/server.ts'
import { machineHere } from '../drivers/postgres/server-settings.ts'
import { dataFolderLock } from '../drivers/process/data-folder.ts'
import { openProcessOrchestrator } from '../drivers/process/orchestrator.ts'
import type { Orchestrator, ProcessSpec } from '../ports/orchestrator.ts'
import { planOf } from '../topology/plan.ts'
import type { Plan } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'
import { loadApplication, loadTopology } from './load.ts'

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
  readonly url: string
  readonly databaseUrl: string
  readonly orchestrator: Orchestrator
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
  const [app, databaseUrl, secret] = await Promise.all([
    loadApplication(options.appFile), databaseOf(topology, options, closers), secretOf(options.dataFolder),
  ])
  const plan = planOf(app, options.topologyName, topology)
  const port = options.port ?? topology.ports.ingress.port
  const orchestrator = openProcessOrchestrator({ log: options.log })
  closers.add(() => orchestrator.stop(limits.drainMs))
  await orchestrator.apply(plan.processes.map((process): ProcessSpec => ({
    name: process.name, replicas: process.replicas,
    command: [processFile],
    listen: { host: options.host, port },
    env: {
      ...options.env, TENFOLD_APP: options.appFile, TENFOLD_TOPOLOGY: options.topologyFile, TENFOLD_DATABASE_URL: databaseUrl,
      TENFOLD_SECRET: secret, TENFOLD_HOST: options.host, TENFOLD_PORT: String(port), TENFOLD_DATA: options.dataFolder,
    },
  })))
  let stopping: Promise<void> | undefined
  return { plan, databaseUrl, orchestrator, url: `http://${options.host}:${port}`, stop: () => stopping ??= closers.close() }
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
  const processes = Object.values(topology.processes).reduce((sum, { replicas }) => sum + replicas, 0)
  const server = await startPostgresServer({ dataFolder, log, machine: machineHere(processes, database.settings === 'machine') })
  closers.add(() => isGuest && server.adopted ? server.detach() : server.stop())
  return server.url
}

/** The deployment's own secret, made once: it signs consistency tokens. */
async function secretOf(dataFolder: string): Promise<string> {
  const file = path.join(dataFolder, 'secret')
  if (!existsSync(file)) await writeFile(file, randomHex(32), { mode: 0o600, flag: 'wx' }).catch((error: NodeJS.ErrnoException) => { if (error.code !== 'EEXIST') throw error })
  return (await readFile(file, 'utf8')).trim()
}
