/**
 * The entry of one process of a topology, started by the orchestrator: boots the application
 * in its role, says when it is ready, serves the connections it is handed, and drains when
 * told to or when its supervisor has died. Started as a spare it loads first, and waits for
 * its role: `framework` is everything but the application's files, which may change, and
 * `application` those too; that one also tells the plan.
 */
import { flushCompileCache } from 'node:module'
import { availableParallelism } from 'node:os'
import type { Socket } from 'node:net'
import { errorTable, isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { createLogger, silentLogger } from '../base/log.ts'
import type { MetricName } from '../base/metric-table.ts'
import { after, goByOwnClock } from '../base/time.ts'
import type { ChildMessage, SupervisorMessage } from '../drivers/process/orchestrator.ts'
import type { ListeningSocket } from '../ports/ingress.ts'
import { planOf } from '../topology/plan.ts'
import type { Role } from '../topology/topology.ts'
import type { Running } from './boot.ts'
import { loadApplication, loadTopology } from './load.ts'
import type { GhostReading } from '../runtime/ghost-cache.ts'
import type { TraceQuestion } from '../runtime/trace-report.ts'
import type { Learnt } from './planner.ts'

const ownLog = () => createLogger({ name: process.env.TENFOLD_PROCESS!, process: `${process.env.TENFOLD_PROCESS}.${process.env.TENFOLD_REPLICA ?? '0'}` })
/** False in a spare until it has a role. */
let begun = process.env.TENFOLD_SPARE === undefined
let log = begun ? ownLog() : silentLogger
let running: Running | undefined
let ending = false
const role = Promise.withResolvers<Readonly<Record<string, string>>>()

const tell = (message: ChildMessage, told = () => {}) => process.connected ? process.send!(message, told) : told()
const learnt = (answer: Learnt) => tell({ type: 'learnt', answer })
/** Here and not above: the topology is told before the rest is loaded. */
const framework = () => import('./boot.ts')

async function wait(loads: string): Promise<void> {
  const { TENFOLD_APP: appFile, TENFOLD_TOPOLOGY: topologyFile, TENFOLD_TOPOLOGY_NAME: name } = process.env as Record<string, string>
  if (loads === 'framework') await framework()
  else {
    const topology = await loadTopology(topologyFile!)
    learnt({ topology })
    const { assertBootable } = await framework()
    const app = await loadApplication(appFile!)
    assertBootable(app, topology)
    learnt({ plan: planOf(app, name!, topology, availableParallelism()) })
  }
  Object.assign(process.env, await role.promise)
  log = ownLog()
  begun = true
}

async function start(): Promise<void> {
  if (process.env.TENFOLD_SPARE !== undefined) await wait(process.env.TENFOLD_SPARE)
  const env = process.env as Record<string, string>
  const { boot } = await framework()
  if (env.TENFOLD_CLOCK === 'own') goByOwnClock()
  const app = await loadApplication(env.TENFOLD_APP!)
  running = await boot({
    app, log, handedDown: env.TENFOLD_LISTENS !== 'itself',
    topology: await loadTopology(env.TENFOLD_TOPOLOGY!),
    does: env.TENFOLD_DOES as Role,
    processCount: Number(env.TENFOLD_PROCESS_COUNT),
    cpu: Number(env.TENFOLD_CPU ?? Infinity),
    databaseUrl: env.TENFOLD_DATABASE_URL!,
    brokerUrl: env.TENFOLD_BROKER_URL,
    dataFolder: env.TENFOLD_DATA!,
    secret: Buffer.from(env.TENFOLD_SECRET!, 'hex'),
    host: env.TENFOLD_HOST!,
    port: Number(env.TENFOLD_PORT),
    limiterEnabled: env.TENFOLD_LIMITER !== 'off',
    singleFlight: env.TENFOLD_SINGLE_FLIGHT !== 'off',
    cacheLeases: env.TENFOLD_CACHE_LEASES !== 'off',
    cacheStamps: env.TENFOLD_CACHE_STAMPS !== 'off',
    awaitsReplicas: env.TENFOLD_AWAIT_REPLICAS !== 'off',
    metrics: env.TENFOLD_METRICS !== 'off',
    tracing: env.TENFOLD_TRACES !== 'off',
    acknowledgeAfterCommit: env.TENFOLD_ACKNOWLEDGE !== 'before-commit',
    remembersAnswers: env.TENFOLD_IDEMPOTENCY !== 'off',
    inbox: env.TENFOLD_INBOX !== 'off',
  })
  tell({ type: 'ready', port: running.url ? Number(new URL(running.url).port) : undefined })
  // Otherwise written at the end only, which a crash leaves out. Does nothing where no cache is switched on.
  flushCompileCache()
}

/** What a spare could not load is said by whoever started it; a process that has a role writes it down. */
function fail(error: unknown): void {
  const known = isTenfoldError(error)
  if (begun) log.fatal({ err: error }, (error as Error).message)
  const { stack, message } = error as Error
  // A syntax error names its place only at the head of its stack.
  const place = /^file:\S+/.exec(stack ?? '')?.[0]
  const reason = known ? message : begun ? `${place ? `${place} ` : ''}${String(error)}` : `the application ${process.env.TENFOLD_APP} cannot be imported:\n${stack}`
  // What is wrong with the source is so the next time as well; an engine may only be late.
  const isHopeless = !known || !errorTable[error.code].retryable
  tell({ type: 'failed', reason, isHopeless }, () => process.exit(1))
}

async function end(code: number, lingerMs?: number): Promise<void> {
  if (ending) return
  ending = true
  after(limits.drainMs + 1_000, () => process.exit(code), true)
  tell({ type: 'draining' })
  await running?.stop(lingerMs).catch((error: unknown) => log.error({ err: error }, 'the stop was not clean'))
  process.exit(code)
}

/** With a time to warm up it begins to look; without one it tells what it has seen. */
export interface GhostQuestion { readonly warmMs: number | null }

function ghostAnswer({ ghost }: Running, { warmMs }: GhostQuestion): readonly GhostReading[] {
  if (warmMs === null) return ghost.end()
  ghost.begin(warmMs)
  return []
}

process.on('message', (message: SupervisorMessage, socket?: unknown) => {
  if (message.type === 'begin') role.resolve(message.env)
  if (message.type === 'drain') void end(0, message.lingerMs)
  if (message.type === 'statistics') tell({ type: message.type, id: message.id, answer: running?.statistics.read() ?? [] })
  if (message.type === 'metrics') tell({ type: message.type, id: message.id, answer: running?.metrics?.read(message.payload as readonly MetricName[] | undefined) ?? [] })
  if (message.type === 'traces') tell({ type: message.type, id: message.id, answer: running?.tracer.answer(message.payload as TraceQuestion) ?? null })
  if (message.type === 'ghost') tell({ type: message.type, id: message.id, answer: running ? ghostAnswer(running, message.payload as GhostQuestion) : [] })
  if (message.type === 'flush-cache') void running?.flushCache().then(answer => tell({ type: message.type, id: message.id, answer }))
  if (message.type === 'listen') void running!.accept(socket as ListeningSocket).then(() => tell({ type: 'listening' }))
  if (message.type !== 'connection') return
  tell({ type: 'took', id: message.id })
  if (socket) running!.take(socket as Socket)
})
process.on('disconnect', () => {
  // Who read what is printed here is gone as well.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  void end(0)
})
// The terminal signals the whole group; the supervisor decides when this process drains.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => void end(0))
start().catch(fail)
