/** Everything `tenfold doctor` looks at, in order: machine, application, deployment, database. Changes nothing. */
import path from 'node:path'
import { limits } from '../base/limits.ts'
import { findServer, inspectPostgres } from '../drivers/postgres/examination.ts'
import { livingHolder } from '../drivers/process/data-folder.ts'
import type { Application } from '../model/app.ts'
import { checkApplication, manifestOf } from '../model/manifest.ts'
import type { ServiceSchema } from '../ports/database.ts'
import type { ProcessState } from '../ports/orchestrator.ts'
import { checkTopology, limitsCpu, replicaCountOf } from '../topology/plan.ts'
import type { FromEnvironment, Topology } from '../topology/topology.ts'
import { examineDatabase } from './database-examination.ts'
import { givenUrl } from './database.ts'
import { finderOf } from './finding.ts'
import type { Finding } from './finding.ts'
import { findTopology, loadApplication, loadTopology } from './load.ts'
import { examineMachine } from './machine-examination.ts'
import { readMigrations } from './migrations.ts'
import { startsRedis } from './redis.ts'

export interface ExaminationOptions {
  /** Null where there is no application: then the machine alone is looked at. */
  readonly appFile: string | null
  readonly topologyName: string
  readonly dataFolder: string
  readonly host: string
  readonly port: number | undefined
  readonly adminPort: number
}

interface Subject { readonly app: Application; readonly topology: Topology; readonly schemas: readonly ServiceSchema[] }
interface Status { readonly url: string; readonly application: string; readonly processes: readonly ProcessState[] }

const application = finderOf('application')
const deployment = finderOf('deployment')
const database = finderOf('database')
const answerMs = 5_000

export async function examine(options: ExaminationOptions): Promise<Finding[]> {
  const findings: Finding[] = []
  const subject = options.appFile === null ? null : await subjectOf(options.appFile, options.topologyName, findings)
  const holder = await livingHolder(options.dataFolder)
  const isEmbedded = subject === null || 'embedded' in subject.topology.ports.database
  const port = options.port ?? subject?.topology.ports.ingress.port ?? 3000
  const machine = await examineMachine({
    dataFolder: options.dataFolder, host: options.host, holder, isEmbedded, hasRedis: subject !== null && startsRedis(subject.topology.ports),
    hasBroker: subject !== null && subject.topology.ports.broker !== undefined && 'embedded' in subject.topology.ports.broker,
    hasBalancer: subject !== null && subject.topology.ports.ingress.driver === 'haproxy', hasQuotas: subject !== null && limitsCpu(subject.topology),
    ports: [{ name: 'PORT', port }, { name: 'ADMIN_PORT', port: options.adminPort }],
  })
  if (options.appFile === null) findings.push(application('application', `none at ${path.resolve('app.ts')}`, { mend: `name it with --app, or make one with 'tenfold init'`, state: 'note' }))
  findings.push(...await examineDeployment(holder, options))
  if (subject) findings.push(...await examineEngine(subject, options.dataFolder, holder !== null))
  return [...machine, ...findings]
}

async function subjectOf(appFile: string, topologyName: string, findings: Finding[]): Promise<Subject | null> {
  try {
    const app = await loadApplication(appFile)
    const { name, file } = await findTopology(appFile, topologyName)
    const topology = await loadTopology(file)
    const faults = checkApplication(app)
    const schemas = await readMigrations(app).catch((error: Error) => { faults.push(error.message); return [] })
    findings.push(application('declarations', `${app.name}: ${app.services.length} services, ${app.intents.size} intents`, faults.length > 0 && { mend: faults.join('; ') }))
    const refusals = checkTopology(app, topology)
    findings.push(application('topology', name, refusals.length > 0 && { mend: refusals.join('; ') }))
    return { app, topology, schemas }
  } catch (error) {
    findings.push(application('application', `${appFile} cannot be loaded`, { mend: (error as Error).message }))
    return null
  }
}

async function examineDeployment(holder: number | null, { dataFolder, adminPort }: ExaminationOptions): Promise<Finding[]> {
  if (holder === null) return [deployment('deployment', `none runs on ${dataFolder}`, { mend: `start one with 'tenfold start', or name another data folder with TENFOLD_DATA`, state: 'note' })]
  const status = await fetch(`http://127.0.0.1:${adminPort}/status`, { signal: AbortSignal.timeout(answerMs) }).then(answer => answer.json() as Promise<Status>).catch(() => null)
  const running = deployment('deployment', `process ${holder} supervises it`)
  if (!status?.processes) return [running, deployment('processes', `nothing of Tenfold answers at the admin port ${adminPort}`, { mend: `set ADMIN_PORT as it was set for the deployment; if it was, end process ${holder} and start again` })]
  return [running, ...status.processes.map(processFinding), await health(status.url)]
}

function processFinding({ name, replica, state, pid, restarts, startedAtMs }: ProcessState): Finding {
  const found = `${state}${pid === null ? '' : `, pid ${pid}`}, ${restarts} restarts, since ${new Date(startedAtMs).toISOString()}`
  // A process that is being replaced says so; one that is left behind by a failed restart has stopped.
  if (state === 'backing-off' || state === 'stopped') return deployment(`process ${name}/${replica}`, found, { mend: 'the log tells why it ended; mend that and restart it' })
  return deployment(`process ${name}/${replica}`, found, (restarts > 0 || state !== 'ready') && { mend: restarts > 0 ? 'it has ended unasked: the log tells why' : 'look again in a moment', state: 'note' })
}

async function health(url: string): Promise<Finding> {
  const found = await fetch(`${url}/health`, { signal: AbortSignal.timeout(answerMs) }).then(answer => `${answer.status}`, (error: Error) => error.message)
  return deployment('health', `${url}/health answers ${found}`, found !== '200' && { mend: 'the processes are busy or down: see their log' })
}

async function examineEngine({ app, topology, schemas }: Subject, dataFolder: string, isServing: boolean): Promise<Finding[]> {
  const { database: port } = topology.ports
  let url: string
  if ('embedded' in port) {
    const server = await findServer(dataFolder).catch((error: Error) => error)
    if (server instanceof Error) return [database('Postgres', `runs, and ${server.message}`, { mend: 'run this as the user who started it' })]
    if (server === null) return [database('Postgres', 'does not run', { mend: isServing ? `its supervisor starts it again: see ${path.join(dataFolder, 'postgres/postgres.log')}` : 'a start brings it', state: isServing ? 'wrong' : 'note' })]
    url = server.url
  } else {
    const missing = [port.url, ...port.replicaUrls ?? []].find(one => typeof one !== 'string' && !process.env[one.env]) as FromEnvironment | undefined
    if (missing) return [database('Postgres', `the environment variable ${missing.env} is not set`, { mend: 'set it to postgres://user:password@host:port/database' })]
    url = givenUrl(port.url, port.replicaUrls)
  }
  return inspectPostgres(url, consumersOf(app)).then(
    facts => examineDatabase(facts, schemas, isServing, replicaCountOf(port)),
    (error: Error) => [database('Postgres', `cannot be asked within ${limits.connectTimeoutMs} ms`, { mend: `${(error.cause as Error | undefined)?.message ?? error.message}: see that it runs and takes connections` })])
}

/** Every consumer of the log, as the runtime names them: one per subscription and projection, and the relay of jobs. */
function consumersOf(app: Application): Record<string, readonly string[] | null> {
  const reacting = manifestOf(app).intents.filter(intent => intent.kind === 'subscription' || intent.kind === 'projection')
  return { ...Object.fromEntries(reacting.map(intent => [intent.name, intent.on ?? []])), 'tenfold.jobs': null }
}
