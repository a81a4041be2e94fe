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
import { valueOf } from '../base/json-text.ts'
import { limits } from '../base/limits.ts'
import type { Logger } from '../base/log.ts'
import { MetricRegistry } from '../base/metric-registry.ts'
import { every } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import type { Declared } from '../model/intent.ts'
import { acceptsUploads, assertApplication } from '../model/manifest.ts'
import type { Projection } from '../model/projection.ts'
import type { Listening, ListeningSocket } from '../ports/ingress.ts'
import type { Call } from '../ports/transport.ts'
import { Dispatcher } from '../runtime/dispatcher.ts'
import { GhostCache } from '../runtime/ghost-cache.ts'
import { consumerNames, startConsumers } from '../runtime/consumers.ts'
import { Invalidation } from '../runtime/invalidation.ts'
import { Limiter } from '../runtime/limiter.ts'
import { QueryCache } from '../runtime/query-cache.ts'
import { RateGate } from '../runtime/rate-gate.ts'
import { createRouter } from '../runtime/router.ts'
import type { RouterOptions } from '../runtime/router.ts'
import { Session } from '../runtime/session.ts'
import { SessionGate } from '../runtime/session-gate.ts'
import { SharedTier } from '../runtime/shared-tier.ts'
import { Statistics } from '../runtime/statistics.ts'
import { routesOf } from '../runtime/target.ts'
import { createUploads } from '../runtime/upload.ts'
import { tokenCodec } from '../runtime/token.ts'
import type { TraceExporter } from '../runtime/tracer.ts'
import { Tracer } from '../runtime/tracer.ts'
import { promptJobs, relayConsumer, startRelay, startScheduler, startWorker } from '../runtime/worker.ts'
import { checkTopology } from '../topology/plan.ts'
import type { Role, Topology } from '../topology/topology.ts'
import { readMigrations } from './migrations.ts'
import { mountsOf } from './mounts.ts'
import { isExportWanted } from './otlp-settings.ts'
import { measureParts } from './part-metrics.ts'
import { pageRoutes, pagesOf } from './pages.ts'
import { poolSizesFor } from './pools.ts'
import { measureProcess } from './process-metrics.ts'
import { driversOf, relaysOf } from './registry.ts'
import type { Engines } from './registry.ts'
import { withoutInbox } from './unprotected.ts'

export interface BootOptions {
  readonly app: Application
  readonly topology: Topology
  readonly databaseUrl: string
  readonly brokerUrl?: string | undefined
  /** Where engines without an address of their own keep what they keep. */
  readonly dataFolder: string
  /** Signs consistency tokens; the same in every process of a deployment. */
  readonly secret: Buffer
  readonly log: Logger
  readonly host: string
  readonly port: number
  /** Everything unless told otherwise; 'calls' answers `invoke` only, for a seed beside a deployment. */
  readonly does?: Role | 'calls'
  /** How many processes share the engines; one unless told otherwise. */
  readonly processCount?: number
  /** The cores this process may use; no limit unless told otherwise. */
  readonly cpu?: number
  /** True: a supervisor listens; `take` gets its connections, or `accept` its socket. */
  readonly handedDown?: boolean
  readonly limiterEnabled?: boolean
  /** False: nothing is measured. For the bench. */
  readonly metrics?: boolean
  readonly acknowledgeAfterCommit?: boolean
  /** False: an idempotency key is as good as none. For negative controls. */
  readonly remembersAnswers?: boolean
  /** False: what is delivered again has its effect again. For negative controls. */
  readonly inbox?: boolean
  /** False: kept answers are given without looking at what a session has seen. For negative controls. */
  readonly cacheStamps?: boolean
  /** False: any replica is read, whatever a session has seen. For negative controls. */
  readonly awaitsReplicas?: boolean
  /** False: calls leave no traces. */
  readonly tracing?: boolean
  /** False: everyone who asks for what is not kept reads it. For negative controls. */
  readonly singleFlight?: boolean
  /** False: each process reads for itself what no process has kept. For negative controls. */
  readonly cacheLeases?: boolean
}

export interface Running {
  /** Null in a process that answers no requests. */
  readonly url: string | null
  readonly engines: Engines
  readonly limiter: Limiter
  readonly statistics: Statistics
  /** Null when nothing is measured. */
  readonly metrics: MetricRegistry | null
  readonly tracer: Tracer
  readonly ghost: GhostCache
  /** Calls an intent as the runtime itself: for seeds and tests. */
  invoke(call: Pick<Call, 'intent' | 'input'> & { readonly caller?: Call['metadata']['caller']; readonly idempotencyKey?: string }): Promise<unknown>
  /** Forgets every kept answer; false when this process keeps none. */
  flushCache(): Promise<boolean>
  /** Serves a connection that the supervisor accepted. */
  take(connection: Socket): void
  /** Accepts connections from the supervisor's socket. */
  accept(socket: ListeningSocket): Promise<void>
  /** Drains; idle connections may be used once more within lingerMs. */
  stop(lingerMs?: number): Promise<void>
}

/** Throws what can be known to be wrong before any engine is asked. */
export function assertBootable(app: Application, topology: Topology): void {
  assertApplication(app)
  const refusals = checkTopology(app, topology)
  if (refusals.length > 0) throw fault('TOPOLOGY_REFUSED', `the topology is refused:\n  - ${refusals.join('\n  - ')}`)
}

export async function boot(options: BootOptions): Promise<Running> {
  const { app, topology, log } = options
  assertBootable(app, topology)
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
  const metrics = options.metrics === false ? null : new MetricRegistry()
  if (metrics) closers.add(measureProcess(metrics))
  const { perService, ...pools } = await poolSizesFor(options)
  metrics?.observeOne('tenfold_service_connections_max', () => perService)
  const drivers = driversOf(topology.ports, { databaseUrl: options.databaseUrl, brokerUrl: options.brokerUrl, log, dataFolder: options.dataFolder, secret: options.secret, pools, metrics })
  const engines = options.inbox === false ? { ...drivers, database: withoutInbox(drivers.database) } : drivers
  const { database, bus, queue, transport, cache, sharedCache, broadcast, leases } = engines
  await database.open()
  closers.add(() => database.close())
  await migrate(app, engines)
  for (const engine of [...cache ? [cache, broadcast] : [], ...sharedCache ? [sharedCache] : [], ...engines.cdn ? [engines.cdn] : [], leases, engines.rates, ...app.options.sessions ? [engines.sessions] : [], bus, queue, transport, ...acceptsUploads(app) ? [engines.blobs] : []]) {
    await engine.open()
    closers.add(() => engine.close())
  }
  const session = new Session({ database, bus, tokens: tokenCodec(options.secret), awaitsReplicas: options.awaitsReplicas })
  const shared = sharedCache && new SharedTier({ shared: sharedCache, log, leases: options.cacheLeases })
  if (shared) closers.add(every(1_000, async () => { await shared.settle() }))
  const invalidation = cache && new Invalidation({ cache, shared, broadcast, log, onForget: () => session.forget() })
  if (invalidation) closers.add(invalidation.listen())
  const queryCache = cache && invalidation && new QueryCache({ cache, shared, session, invalidation, log, lags: !engines.cdn, stamps: options.cacheStamps, singleFlight: options.singleFlight })
  const statistics = new Statistics(metrics)
  const tracer = await tracerOf(options)
  closers.add(() => tracer.close())
  const ghost = new GhostCache()
  const surroundings = { app, database, bus, transport, log, invalidation, statistics, tracer, ghost }
  const dispatcher = new Dispatcher({ ...surroundings, session, cache: queryCache, acknowledgeAfterCommit: options.acknowledgeAfterCommit, remembersAnswers: options.remembersAnswers })
  transport.serve(services, call => dispatcher.dispatch(call))
  if (does === 'everything' || does === 'background') await startBackground(options, engines, { services, invalidation, statistics, tracer, ghost }, closers)
  if (does === 'background') await settle(options, session)
  const limiter = new Limiter({ enabled: options.limiterEnabled })
  const gate = new RateGate({ rates: engines.rates, local: engines.localRates ?? undefined, log })
  if (metrics) measureParts(metrics, { app, gate, does, statistics, limiter, cache, shared })
  const listening = does === 'everything' || does === 'requests' ? await listen(options, engines, { dispatcher, cache: queryCache, limiter, gate, statistics, tracer }, closers) : null
  let stopping: Promise<void> | undefined
  const stop = async (lingerMs?: number) => {
    await listening?.drain(limits.drainMs, lingerMs)
    await closers.close()
  }
  return {
    url: listening?.url ?? null, engines, limiter, statistics, metrics, tracer, ghost, invoke: call => invoke(dispatcher, call),
    flushCache: async () => { session.forget(); await shared?.clear(); await cache?.clear(); return cache !== null },
    take: connection => listening ? listening.take(connection) : connection.destroy(),
    accept: async socket => listening?.accept(socket),
    stop: lingerMs => stopping ??= stop(lingerMs),
  }
}

/** With an exporter where the environment names a collector; its packages are loaded only then. */
async function tracerOf({ app, log, tracing }: BootOptions): Promise<Tracer> {
  const exporter: TraceExporter | null = tracing !== false && isExportWanted(process.env) ? await (await import('./otlp-exporter.ts')).openOtlpExporter(app.name, log) : null
  return new Tracer({ enabled: tracing, exporter })
}

async function listen({ app, log, ...options }: BootOptions, { ingress, database, blobs, cdn, sessions }: Engines, inner: Pick<RouterOptions, 'dispatcher' | 'cache' | 'limiter' | 'gate' | 'statistics' | 'tracer'>, closers: Closers): Promise<Listening> {
  let closing = false
  const listening = await ingress.listen({
    host: options.host, port: options.port, handedDown: options.handedDown, corsOrigins: app.options.corsOrigins ?? [],
    routes: [...routesOf(app), ...pageRoutes], mounts: await mountsOf(app, blobs),
    // What arrives while it drains is answered: only when the time for that is over is it refused.
    handler: createRouter({ ...inner, app, log, hasCdn: cdn !== null, sessions: app.options.sessions ? new SessionGate(sessions, app.options.sessions) : null, proxies: proxiesOf(options.topology), uploads: acceptsUploads(app) ? await createUploads(app, blobs, options.secret) : null, pages: pagesOf(app, database), isDraining: () => closing }),
  })
  closers.add(() => { closing = true; return listening.close() })
  return listening
}

/** What is started here is trusted as far as what the topology says of others. */
const proxiesOf = ({ ports: { ingress, cdn } }: Topology): number => ingress.proxies ?? Number(cdn.driver === 'varnish') + Number(ingress.driver === 'haproxy')

async function migrate(app: Application, { database }: Engines): Promise<void> {
  const report = await database.migrate(await readMigrations(app))
  const faults = Object.values(report.tables).flat().flatMap(table => table.faults)
  if (faults.length > 0) throw fault('DECLARATION_FAULT', `tables break the key rules:\n  - ${faults.join('\n  - ')}`)
}

interface BackgroundParts { readonly services: readonly string[]; readonly invalidation: Invalidation | null; readonly statistics: Statistics; readonly tracer: Tracer; readonly ghost: GhostCache }

async function startBackground({ app, topology, log }: BootOptions, engines: Engines, inner: BackgroundParts, closers: Closers): Promise<void> {
  const { database, bus, queue, rates, sessions, transport } = engines
  const options = { ...inner, app, database, bus, queue, transport, log, cdn: engines.cdn, concurrency: topology.ports.queue.concurrency }
  const consumers = await startConsumers(options)
  closers.add(() => consumers.stop())
  const prompt = promptJobs(options)
  const relay = await startRelay(options, prompt)
  closers.add(() => relay.stop())
  const worker = await startWorker(options, prompt)
  closers.add(() => worker.stop(limits.drainMs))
  const scheduler = startScheduler(options)
  closers.add(() => scheduler.stop())
  const names = [...consumerNames(options), relayConsumer, ...relaysOf(topology.ports)]
  closers.add(every(60_000, async () => { await Promise.all([database.prune(names), rates.prune(), ...app.options.sessions ? [sessions.prune()] : []]).catch((error: unknown) => log.warn({ err: error }, 'pruning failed')) }))
}

/** Who writes first would wait until consumers have taken their partitions. Where requests are answered nothing waits for this: a broker that is away delays events only. */
async function settle({ app, log }: BootOptions, session: Session): Promise<void> {
  const projections = [...app.intents.values()].filter(intent => intent.kind === 'projection') as Declared[] as Projection[]
  if (!await session.isSettled(projections, limits.settleMs)) log.info(`read models are not up to date after ${limits.settleMs} ms; they follow`)
}

async function invoke(dispatcher: Dispatcher, call: Parameters<Running['invoke']>[0]): Promise<unknown> {
  const answer = await dispatcher.dispatch({
    intent: call.intent, input: call.input, repeatable: false,
    metadata: { timeoutMs: limits.jobDeadlineMs, traceparent: '', requestId: 'internal', caller: call.caller ?? null, idempotencyKey: call.idempotencyKey, depth: 0, priority: 'low' },
  })
  return valueOf(answer.output)
}
