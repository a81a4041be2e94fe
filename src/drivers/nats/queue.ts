/**
 * The queue port on NATS JetStream: work queues with explicit acknowledgement. A worker
 * renews its claim on what it runs; what a dead one left behind is delivered again when the
 * claim has run out. docs/decisions/0026.
 */
import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream'
import { fault, isTenfoldError } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { agreedNow, sleep } from '../../base/time.ts'
import type { DeadJob, Job, Queue, QueueDepth, Working, WorkOptions } from '../../ports/queue.ts'
import { ensureStream, NatsLink } from './connection.ts'
import type { Nats } from './connection.ts'
import { deadSubject, jobStreams, laterSubject, put, readySubject, storedIn, storedOf } from './job-streams.ts'
import type { JobStreams, StoredJob } from './job-streams.ts'
import { JobWorker } from './job-worker.ts'

export interface NatsQueueOptions {
  readonly url: string
  readonly prefix: string
  readonly replicas: number
  readonly log: Logger
  /** False, for a negative control: consumers are used as a killed server has restored them. */
  readonly renewsConsumers?: boolean
}

/** An attempt that has ended is acknowledged within milliseconds. */
const triesMax = 40
const pauseMs = 25

export const openNatsQueue = (options: NatsQueueOptions): Queue => new NatsQueue(options)

class NatsQueue implements Queue {
  readonly #options: NatsQueueOptions
  readonly #link: NatsLink
  readonly #streams: JobStreams
  readonly #workers = new Set<JobWorker>()
  readonly #stopping = new AbortController()
  #preparing: Promise<Nats> | undefined
  #closing: Promise<void> | undefined

  constructor(options: NatsQueueOptions) {
    this.#options = options
    this.#link = new NatsLink(options)
    this.#streams = jobStreams(options.prefix)
  }

  /** Does not wait for the broker: what is enqueued does. */
  async open(): Promise<void> { void this.#prepared().catch(() => {}) }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      await Promise.all([...this.#workers].map(worker => worker.stop(limits.drainMs)))
      this.#stopping.abort()
      await this.#link.close()
    })()
  }

  async enqueue(jobs: readonly Job[]): Promise<void> {
    for (const { name, payload } of jobs) {
      if (Buffer.byteLength(JSON.stringify(payload ?? null)) > limits.payloadBytesMax) throw fault('PAYLOAD_TOO_LARGE', `the payload of ${name} is larger than ${limits.payloadBytesMax} bytes: put the rest in a table and send its id`)
    }
    await this.#ask(async nats => {
      // Those with an order of their own one by one: of many on their way, one in the middle may be refused.
      for (const job of jobs) if (job.serial !== undefined) await this.#put(nats, job)
      await Promise.all(jobs.filter(job => job.serial === undefined).map(job => this.#put(nats, job)))
    })
  }

  async #put(nats: Nats, job: Job): Promise<void> {
    const isLater = job.runAtMs !== undefined && job.runAtMs > agreedNow()
    const [stream, subject] = isLater ? [this.#streams.later, laterSubject(this.#streams, job.id)] : [this.#streams.jobs, readySubject(this.#streams, job)]
    // The one that was there may be over by now.
    for (let tries = 1; !await put(nats, stream, subject, storedOf(job)); tries++) {
      if (tries === triesMax) throw new Error(`${stream.name} refuses job ${job.id}, and has none of that id`)
      await sleep(pauseMs)
    }
  }

  async work(work: WorkOptions): Promise<Working> {
    if (this.#closing) throw fault('UNAVAILABLE', 'the queue is closed')
    const worker = new JobWorker({ streams: this.#streams, log: this.#options.log, renewsConsumers: this.#options.renewsConsumers ?? true, prepared: () => this.#prepared() }, work)
    this.#workers.add(worker)
    return { stop: async graceMs => { await worker.stop(graceMs); this.#workers.delete(worker) } }
  }

  depth(): Promise<QueueDepth> { return this.#ask(nats => depthOf(nats, this.#streams)) }

  dead(limit: number): Promise<DeadJob[]> {
    return this.#ask(async ({ manager }) => {
      const { name } = this.#streams.dead
      const found: DeadJob[] = []
      const { state } = await manager.streams.info(name)
      for (let seq = state.first_seq; found.length < Math.min(limit, state.messages);) {
        const next = { seq, next_by_subj: `${this.#options.prefix}.dead.>` }
        const message = await manager.streams.getMessage(name, next)
        if (!message) break
        const { job, attempts, error = '' } = storedIn(message.string())
        found.push({ job, attempts, error })
        seq = message.seq + 1
      }
      return found
    })
  }

  retry(id: string): Promise<boolean> {
    return this.#ask(async nats => {
      const { manager } = nats
      const { jobs, dead } = this.#streams
      const subject = deadSubject(this.#streams, id)
      const found = await manager.streams.getMessage(dead.name, { last_by_subj: subject })
      if (!found) return false
      const { job, moves } = storedIn(found.string())
      const stored: StoredJob = { job, attempts: 0, moves: moves + 1, readyAtMs: agreedNow() }
      for (let tries = 1; !await put(nats, jobs, readySubject(this.#streams, job), stored); tries++) {
        if (tries === triesMax) throw fault('CONFLICT', `job ${id} waits anew, or its last attempt is not over yet: retry it later`)
        await sleep(pauseMs)
      }
      // Not what is dead again by now.
      await manager.streams.purge(dead.name, { filter: subject, seq: found.seq + 1 })
      return true
    })
  }

  /** Connected, and the streams are there. */
  #prepared(): Promise<Nats> {
    this.#preparing ??= this.#prepare().catch((error: unknown) => { this.#preparing = undefined; throw error })
    return this.#preparing
  }

  async #prepare(): Promise<Nats> {
    const nats = await this.#link.connected()
    for (const stream of [this.#streams.jobs, this.#streams.later, this.#streams.dead]) await ensureStream(nats, stream, this.#stopping.signal)
    return nats
  }

  async #ask<T>(work: (nats: Nats) => Promise<T>): Promise<T> {
    if (this.#closing) throw fault('UNAVAILABLE', 'the queue is closed')
    try {
      return await work(await this.#prepared())
    } catch (error) {
      if (isTenfoldError(error) || error instanceof TypeError) throw error
      // The streams may be gone with the server that had them.
      this.#preparing = undefined
      throw fault('UNAVAILABLE', `NATS is not answering: ${(error as Error).message}`, { cause: error })
    }
  }
}

/** Shared with the measurements. */
export async function depthOf(nats: Nats, streams: JobStreams): Promise<QueueDepth> {
  const { manager } = nats
  const infoOf = ({ name }: { name: string }) => manager.streams.info(name)
  const [jobs, later, dead] = await Promise.all([infoOf(streams.jobs), infoOf(streams.later), infoOf(streams.dead)])
  const consumers: ConsumerInfo[] = []
  for await (const one of manager.consumers.list(streams.jobs.name)) consumers.push(one)
  const running = Math.min(jobs.state.messages, consumers.reduce((sum, one) => sum + one.num_ack_pending, 0))
  const waiting = jobs.state.messages - running
  const oldestAtMs = waiting === 0 ? null : await oldestOf(nats, streams, jobs, consumers)
  return { waiting, running, scheduled: later.state.messages, dead: dead.state.messages, oldestAgeMs: oldestAtMs === null ? 0 : Math.max(0, agreedNow() - oldestAtMs) }
}

/** The first that nobody has claimed: of each name what its consumer would get next. */
async function oldestOf({ manager }: Nats, { prefix, jobs: { name } }: JobStreams, { state }: StreamInfo, consumers: readonly ConsumerInfo[]): Promise<number | null> {
  const next = consumers.filter(one => one.num_pending > 0).map(one => ({ seq: one.delivered.stream_seq + 1, next_by_subj: one.config.filter_subject! }))
  // Jobs of a name for which no worker has ever been there.
  if (consumers.length === 0) next.push({ seq: state.first_seq, next_by_subj: `${prefix}.job.>` })
  const times = await Promise.all(next.map(async one => {
    const message = await manager.streams.getMessage(name, one)
    return message ? storedIn(message.string()).readyAtMs : Infinity
  }))
  const least = Math.min(...times)
  return least === Infinity ? null : least
}
