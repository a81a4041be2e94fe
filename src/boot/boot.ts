/**
 * Boot: one process of a topology, from its application to answered requests. The only
 * floor where drivers meet the runtime.
 *
 *   check ─▶ open engines ─▶ migrate ─▶ consumers, worker, scheduler ─▶ listen
 *   stop: drain the ingress ─▶ stop what works ─▶ close engines
 */
import { fault } from '../base/errors.ts'
import { Closers } from '../base/lifecycle.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { every } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import { assertApplication } from '../model/manifest.ts'
import { nodeHandlerOf } from '../model/mount.ts'
import type { Mount } from '../ports/ingress.ts'
import type { Call } from '../ports/transport.ts'
import { Dispatcher } from '../runtime/dispatcher.ts'
import { startConsumers } from '../runtime/consumers.ts'
import { Limiter } from '../runtime/limiter.ts'
import { createRouter, routesOf } from '../runtime/router.ts'
import { Statistics } from '../runtime/statistics.ts'
import { tokenCodec } from '../runtime/token.ts'
import { startRelay, startScheduler, startWorker } from '../runtime/worker.ts'
import { checkTopology } from '../topology/plan.ts'
import type { Topology } from '../topology/topology.ts'
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
  /** A listening socket handed down by a supervisor. */
  readonly handle?: unknown
  readonly limiterEnabled?: boolean
  readonly acknowledgeAfterCommit?: boolean
}

export interface Running {
  readonly url: string
  readonly engines: Engines
  readonly limiter: Limiter
  readonly statistics: Statistics
  /** Calls an intent as the runtime itself: for seeds and tests. */
  invoke(call: Pick<Call, 'intent' | 'input'> & { readonly caller?: Call['metadata']['caller'] }): Promise<unknown>
  stop(): Promise<void>
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
  const { app, topology, log } = options
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
  const statistics = new Statistics()
  const surroundings = { app, database, bus, transport, log, statistics }
  const dispatcher = new Dispatcher({ ...surroundings, tokens: tokenCodec(options.secret), acknowledgeAfterCommit: options.acknowledgeAfterCommit })
  transport.serve(services, call => dispatcher.dispatch(call))
  await startBackground(options, engines, statistics, services, closers)
  const limiter = new Limiter({ enabled: options.limiterEnabled })
  let draining = false
  const listening = await engines.ingress.listen({
    host: options.host, port: options.port, handle: options.handle, corsOrigins: app.options.corsOrigins ?? [],
    routes: [...routesOf(app), ...pageRoutes], mounts: await mountsOf(app),
    handler: createRouter({ app, dispatcher, limiter, log, pages: pagesOf(app, database), isDraining: () => draining }),
  })
  closers.add(() => listening.close())
  let stopping: Promise<void> | undefined
  const stop = async () => {
    draining = true
    await listening.drain(limits.drainMs)
    await closers.close()
  }
  return { url: listening.url, engines, limiter, statistics, stop: () => stopping ??= stop(), invoke: call => invoke(dispatcher, call) }
}

async function migrate(app: Application, { database }: Engines): Promise<void> {
  const report = await database.migrate(await readMigrations(app))
  const faults = Object.values(report.tables).flat().flatMap(table => table.faults)
  if (faults.length > 0) throw fault('DECLARATION_FAULT', `tables break the key rules:\n  - ${faults.join('\n  - ')}`)
}

async function startBackground({ app, topology, log }: BootOptions, engines: Engines, statistics: Statistics, services: readonly string[], closers: Closers): Promise<void> {
  const { database, bus, queue, transport } = engines
  const options = { app, database, bus, queue, transport, log, statistics, services, concurrency: topology.ports.queue.concurrency }
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
