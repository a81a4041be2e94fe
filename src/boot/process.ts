/**
 * The entry of one process of a topology, started by the orchestrator: takes the listening
 * socket it is handed, boots the application, says when it is ready, and drains when told
 * to or when its supervisor has died.
 */
import { limits } from '../base/limits.ts'
import { createLogger } from '../base/log.ts'
import { after } from '../base/time.ts'
import type { ChildMessage, SupervisorMessage } from '../drivers/process/orchestrator.ts'
import { boot } from './boot.ts'
import type { Running } from './boot.ts'
import { loadApplication, loadTopology } from './load.ts'

const log = createLogger({ name: process.env.TENFOLD_PROCESS ?? 'app' })
let running: Running | undefined
let ending = false

async function start(handle: unknown): Promise<void> {
  const env = process.env as Record<string, string>
  const app = await loadApplication(env.TENFOLD_APP!)
  running = await boot({
    app, log, handle,
    topology: await loadTopology(env.TENFOLD_TOPOLOGY!),
    databaseUrl: env.TENFOLD_DATABASE_URL!,
    secret: Buffer.from(env.TENFOLD_SECRET!, 'hex'),
    host: env.TENFOLD_HOST!,
    port: Number(env.TENFOLD_PORT),
    limiterEnabled: env.TENFOLD_LIMITER !== 'off',
    acknowledgeAfterCommit: env.TENFOLD_ACKNOWLEDGE !== 'before-commit',
  })
  process.send?.({ type: 'ready' } satisfies ChildMessage)
}

async function end(code: number): Promise<void> {
  if (ending) return
  ending = true
  after(limits.drainMs + 1_000, () => process.exit(code), true)
  await running?.stop().catch((error: unknown) => log.error({ err: error }, 'the stop was not clean'))
  process.exit(code)
}

process.on('message', (message: SupervisorMessage, handle: unknown) => {
  if (message.type === 'listen') start(handle).catch((error: unknown) => { log.fatal({ err: error }, (error as Error).message); process.exit(1) })
  if (message.type === 'drain') void end(0)
  if (message.type === 'statistics') process.send?.({ ...message, answer: running?.statistics.read() ?? [] } satisfies ChildMessage)
})
process.on('disconnect', () => void end(0))
// The terminal signals the whole group; the supervisor decides when this process drains.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => void end(0))
