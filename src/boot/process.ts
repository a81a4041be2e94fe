/**
 * The entry of one process of a topology, started by the orchestrator: boots the application
 * in its role, says when it is ready, serves the connections it is handed, and drains when
 * told to or when its supervisor has died.
 */
import { flushCompileCache } from 'node:module'
import type { Socket } from 'node:net'
import { isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { createLogger } from '../base/log.ts'
import { after } from '../base/time.ts'
import type { Question } from '../ports/orchestrator.ts'
import type { ChildMessage, SupervisorMessage } from '../drivers/process/orchestrator.ts'
import { boot } from './boot.ts'
import type { Running } from './boot.ts'
import { loadApplication, loadTopology } from './load.ts'
import type { Role } from '../topology/topology.ts'

const log = createLogger({ name: process.env.TENFOLD_PROCESS ?? 'app' })
let running: Running | undefined
let ending = false

const tell = (message: ChildMessage, told = () => {}) => process.connected ? process.send!(message, told) : told()

const answers: Readonly<Record<Question, () => unknown>> = {
  statistics: () => running?.statistics.read() ?? [],
  metrics: () => running?.metrics?.read() ?? [],
}

async function start(): Promise<void> {
  const env = process.env as Record<string, string>
  const app = await loadApplication(env.TENFOLD_APP!)
  running = await boot({
    app, log, handedDown: true,
    topology: await loadTopology(env.TENFOLD_TOPOLOGY!),
    does: env.TENFOLD_DOES as Role,
    processCount: Number(env.TENFOLD_PROCESS_COUNT),
    databaseUrl: env.TENFOLD_DATABASE_URL!,
    dataFolder: env.TENFOLD_DATA!,
    secret: Buffer.from(env.TENFOLD_SECRET!, 'hex'),
    host: env.TENFOLD_HOST!,
    port: Number(env.TENFOLD_PORT),
    limiterEnabled: env.TENFOLD_LIMITER !== 'off',
    cacheStamps: env.TENFOLD_CACHE_STAMPS !== 'off',
    metrics: env.TENFOLD_METRICS !== 'off',
    acknowledgeAfterCommit: env.TENFOLD_ACKNOWLEDGE !== 'before-commit',
  })
  tell({ type: 'ready' })
  // Otherwise written at the end only, which a crash leaves out. Does nothing where no cache is switched on.
  flushCompileCache()
}

function fail(error: unknown): void {
  log.fatal({ err: error }, (error as Error).message)
  // A syntax error names its place only at the head of its stack.
  const place = /^file:\S+/.exec((error as Error).stack ?? '')?.[0]
  const reason = isTenfoldError(error) ? error.message : `${place ? `${place} ` : ''}${String(error)}`
  tell({ type: 'failed', reason }, () => process.exit(1))
}

async function end(code: number, lingerMs?: number): Promise<void> {
  if (ending) return
  ending = true
  after(limits.drainMs + 1_000, () => process.exit(code), true)
  tell({ type: 'draining' })
  await running?.stop(lingerMs).catch((error: unknown) => log.error({ err: error }, 'the stop was not clean'))
  process.exit(code)
}

process.on('message', (message: SupervisorMessage, connection?: Socket) => {
  if (message.type === 'drain') void end(0, message.lingerMs)
  if (message.type === 'question') tell({ type: 'answer', id: message.id, answer: answers[message.question]() })
  if (message.type !== 'connection') return
  tell({ type: 'took', id: message.id })
  if (connection) running!.take(connection)
})
process.on('disconnect', () => void end(0))
// The terminal signals the whole group; the supervisor decides when this process drains.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => void end(0))
start().catch(fail)
