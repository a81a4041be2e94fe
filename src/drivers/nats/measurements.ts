/** The measurements port on NATS: its streams, and the jobs where they are here. How far consumers are the database tells, where the relay writes it down. */
import type { StreamInfo } from '@nats-io/jetstream'
import { fault, isTenfoldError } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricName } from '../../base/metric-table.ts'
import type { MetricReading } from '../../base/metric-registry.ts'
import { sleep } from '../../base/time.ts'
import type { Measurements } from '../../ports/measurements.ts'
import { codeOf, jsCodes, NatsLink } from './connection.ts'
import type { Nats } from './connection.ts'
import { eventStreams } from './event-stream.ts'
import { jobStreams } from './job-streams.ts'
import { depthOf } from './queue.ts'

export interface NatsMeasurementsOptions {
  readonly url: string
  readonly prefix: string
  /** Of the bus; null when that is elsewhere. */
  readonly partitions: number | null
  /** True when the jobs are here. */
  readonly jobs: boolean
  readonly log: Logger
}

const openMs = 5_000

export const openNatsMeasurements = (options: NatsMeasurementsOptions): Measurements => new NatsMeasurements(options)

class NatsMeasurements implements Measurements {
  readonly #options: NatsMeasurementsOptions
  readonly #link: NatsLink

  constructor(options: NatsMeasurementsOptions) {
    this.#options = options
    this.#link = new NatsLink({ ...options, replicas: 1 })
  }

  async open(): Promise<void> { await this.#link.connected(openMs) }

  close(): Promise<void> { return this.#link.close() }

  async read(timeoutMs: number): Promise<readonly MetricReading[]> {
    const ending = new AbortController()
    try {
      const told = await Promise.race([this.#link.connected(timeoutMs).then(nats => measure(nats, this.#options)), sleep(timeoutMs, ending.signal)])
      if (told) return told
    } catch (error) {
      if (isTenfoldError(error) || error instanceof TypeError) throw error
      throw fault('UNAVAILABLE', `NATS did not tell its measurements: ${(error as Error).message}`, { cause: error })
    } finally { ending.abort() }
    throw fault('UNAVAILABLE', `NATS did not tell its measurements within ${timeoutMs} ms`)
  }
}

/** Nobody has begun yet. */
function nullIfUnmade(error: unknown): null {
  if (codeOf(error) !== jsCodes.noStream) throw error
  return null
}

async function measure(nats: Nats, { prefix, partitions, jobs }: NatsMeasurementsOptions): Promise<MetricReading[]> {
  const [{ events, progress }, queue] = [eventStreams(prefix, partitions ?? 1, 0), jobStreams(prefix)]
  const named = { ...partitions === null ? {} : { events, progress }, ...jobs ? { jobs: queue.jobs, later: queue.later, dead: queue.dead } : {} }
  const told = await Promise.all(Object.entries(named).map(async ([stream, { name }]) => ({ stream, info: await nats.manager.streams.info(name).catch(nullIfUnmade) })))
  const streams = told.flatMap(({ stream, info }) => info ? [{ stream, info }] : [])
  const of = (name: MetricName, value: (info: StreamInfo) => number, isTold = (_: StreamInfo) => true): MetricReading[] => {
    const samples = streams.filter(({ info }) => isTold(info)).map(({ stream, info }) => ({ labels: { stream }, value: value(info) }))
    return samples.length > 0 ? [{ name, samples }] : []
  }
  return [
    ...of('tenfold_broker_stored_messages', ({ state }) => state.messages), ...of('tenfold_broker_stored_bytes', ({ state }) => state.bytes),
    ...of('tenfold_broker_stored_bytes_max', ({ config }) => config.max_bytes, ({ config }) => config.max_bytes > 0),
    ...of('tenfold_broker_replicas_missing', info => info.config.num_replicas - 1 - (info.cluster?.replicas ?? []).filter(one => one.current && !one.offline).length, info => info.config.num_replicas > 1),
    ...jobs ? await ofJobs(nats, prefix) : [],
  ]
}

async function ofJobs(nats: Nats, prefix: string): Promise<MetricReading[]> {
  const depth = await depthOf(nats, jobStreams(prefix))
  const states = ['waiting', 'running', 'scheduled', 'dead'] as const
  return [
    { name: 'tenfold_queue_jobs', samples: states.map(state => ({ labels: { state }, value: depth[state] })) },
    { name: 'tenfold_queue_oldest_seconds', samples: [{ labels: {}, value: depth.oldestAgeMs / 1_000 }] },
  ]
}
