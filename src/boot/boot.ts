/**
 * Boot: one process of a topology, from its application to answered requests. The only
 * floor where drivers meet the runtime.
 *
 *   check ─▶ open engines ─▶ migrate ─▶ consumers, worker, scheduler ─▶ listen
 *   A process that only answers requests leaves out the third, one that only does the rest the last.
 *   stop: drain the ingress ─▶ stop what works ─▶ close engines
 */
import type { Socket } from 'node:net'
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { every } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import { assertApplication } from '../model/manifest.ts'
import { nodeHandlerOf } from '../model/mount.ts'
import type { Listening, Mount } from '../ports/ingress.ts'
import type { Call } from '../ports/transport.ts'
import { Dispatcher } from '../runtime/dispatcher.ts'
import { startConsumers } from '../runtime/consumers.ts'
import { Limiter } from '../runtime/limiter.ts'
import { createRouter, routesOf } from '../runtime/router.ts'
import { tokenCodec } from '../runtime/token.ts'
import { startRelay, startScheduler, startWorker } from '../runtime/worker.ts'
import { checkTopology } from '../topology/plan.ts'
import type { Role, Topology } from '../topology/topology.ts'
import { readMigrations } from './migrations.ts'
import { pageRoutes, pagesOf } from './pages.ts'
import { driversOf } from './registry.ts'
import type { Engines } from './registry.ts'

export interface BootOptions {
  readonly app: Application
  readonly topology: Topology
  readonly databaseUrl: string
  /** Signs consistency tokens; the same in every process of a deployment. */
  readonly secret: Buffer
  readonly log: Logger
  readonly host: string
  readonly port: number
  /** Everything unless told otherwise. */
  readonly does?: Role
  /** How many processes share the engines; one unless told otherwise. */
  readonly processCount?: number
  /** True: a supervisor listens, and `take` gets its connections. */
  readonly handedDown?: boolean
  readonly limiterEnabled?: boolean
  readonly acknowledgeAfterCommit?: boolean
}

export interface Running {
  /** Null in a process that answers no requests. */
  readonly url: string | null
  readonly engines: Engines
  readonly limiter: Limiter
  /** Calls an intent as the runtime itself: for seeds and tests. */
  invoke(call: Pick<Call, 'intent' | 'input'> & { readonly caller?: Call['metadata']['caller'] }): Promise<unknown>
  /** Serves a connection that the supervisor accepted. */
  take(connection: Socket): void
  /** Drains; idle connections may be used once more within lingerMs. */
  stop(lingerMs?: number): Promise<void>
}

export async function boot(options: BootOptions): Promise<Running> {
  const { app, topology, log } = options
  assertApplication(app)
  const refusals = checkTopology(app, topology)
  if (refusals.length > 0) throw fault('TOPOLOGY_REFUSED', `the topology is refused:\n  - ${refusals.join('\n  - ')}`)
  const closers = new Closers()
  try {
    return await start(options, closers)
  } catch (error) {
    await closers.close().catch((failure: unknown) => log.error({ err: failure }, 'closing after a failed start'))
    throw error
  }
}

async function start(options: BootOptions, closers: Closers): Promise<Running> {
  const { app, topology, log, does = 'everything' } = options
  const services = app.services.map(one => one.name)
  const engines = driversOf(topology.ports, options.databaseUrl, log)
  const { database, bus, queue, transport, cache, leases } = engines
  await database.open()
  closers.add(() => database.close())
  await migrate(app, engines)
  for (const engine of [cache, leases, bus, queue, transport]) {
    await engine.open()
    closers.add(() => engine.close())
  }
  const surroundings = { app, database, bus, transport, log }
  const dispatcher = new Dispatcher({ ...surroundings, tokens: tokenCodec(options.secret), acknowledgeAfterCommit: options.acknowledgeAfterCommit })
  transport.serve(services, call => dispatcher.dispatch(call))
  if (does !== 'requests') await startBackground(options, engines, services, closers)
  const limiter = new Limiter({ enabled: options.limiterEnabled })
  const listening = does === 'background' ? null : await listen(options, engines, dispatcher, limiter, closers)
  let stopping: Promise<void> | undefined
  const stop = async (lingerMs?: number) => {
    await listening?.drain(limits.drainMs, lingerMs)
    await closers.close()
  }
  return {
    url: listening?.url ?? null, engines, limiter, invoke: call => invoke(dispatcher, call),
    take: connection => listening ? listening.take(connection) : connection.destroy(),
    stop: lingerMs => stopping ??= stop(lingerMs),
  }
}

async function listen({ app, log, ...options }: BootOptions, { ingress, database }: Engines, dispatcher: Dispatcher, limiter: Limiter, closers: Closers): Promise<Listening> {
  let closing = false
  const listening = await ingress.listen({
    host: options.host, port: options.port, handedDown: options.handedDown, corsOrigins: app.options.corsOrigins ?? [],
    routes: [...routesOf(app), ...pageRoutes], mounts: await mountsOf(app),
    // What arrives while it drains is answered: only when the time for that is over is it refused.
    handler: createRouter({ app, dispatcher, limiter, log, pages: pagesOf(app, database), isDraining: () => closing }),
  })
  closers.add(() => { closing = true; return listening.close() })
  return listening
}

async function migrate(app: Application, { database }: Engines): Promise<void> {
  const report = await database.migrate(await readMigrations(app))
  const faults = Object.values(report.tables).flat().flatMap(table => table.faults)
  if (faults.length > 0) throw fault('DECLARATION_FAULT', `tables break the key rules:\n  - ${faults.join('\n  - ')}`)
}

async function startBackground({ app, topology, log }: BootOptions, engines: Engines, services: readonly string[], closers: Closers): Promise<void> {
  const { database, bus, queue, transport } = engines
  const options = { app, database, bus, queue, transport, log, services, concurrency: topology.ports.queue.concurrency }
  const consumers = await startConsumers(options)
  closers.add(() => consumers.stop())
  const relay = await startRelay(options)
  closers.add(() => relay.stop())
  const worker = await startWorker(options)
  closers.add(() => worker.stop(limits.drainMs))
  const scheduler = startScheduler(options)
  closers.add(() => scheduler.stop())
  closers.add(every(60_000, async () => { await database.prune().catch((error: unknown) => log.warn({ err: error }, 'pruning failed')) }))
}

async function mountsOf(app: Application): Promise<Mount[]> {
  return Promise.all(Object.entries(app.options.mounts ?? {}).map(async ([prefix, application]) => ({ prefix, handle: await nodeHandlerOf(application) })))
}

async function invoke(dispatcher: Dispatcher, call: Parameters<Running['invoke']>[0]): Promise<unknown> {
  const answer = await dispatcher.dispatch({
    intent: call.intent, input: call.input, repeatable: false,
    metadata: { timeoutMs: limits.jobDeadlineMs, traceparent: '00-00000000000000000000000000000001-0000000000000001-00', requestId: 'internal', caller: call.caller ?? null, depth: 0, priority: 'low' },
  })
  return answer.output
}
