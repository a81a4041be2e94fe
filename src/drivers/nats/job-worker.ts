/**
 * One worker of the queue.
 *
 *   fetch (claim for leaseMs) ─▶ wait for a free place ─▶ handle ─▶ done: acknowledged, the message goes
 *                        └ failed: put among those that run later, then acknowledged; at attemptsMax among the dead
 *   every renewMs the claims of what is here are renewed; one that ran out is anybody's.
 *   stop: no more is fetched; what waits is given back, uncounted, and so is what runs after
 *   graceMs, aborted.
 *
 * Jobs of a serial text that fail stay where they are, so that nothing behind them runs.
 * Every worker also moves what has become due to where it may run.
 */
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream'
import { backoffMs } from '../../base/backoff.ts'
import type { Logger } from '../../base/log.ts'
import { agreedNow, every, monotonicMs, sleep } from '../../base/time.ts'
import { traceIdOf } from '../../base/traceparent.ts'
import type { Working, WorkOptions } from '../../ports/queue.ts'
import { ensureConsumer, startOf } from './connection.ts'
import type { Nats } from './connection.ts'
import { deadSubject, freeConsumer, laterSubject, leaseMs, put, readySubject, serialConsumer, serialLanes, storedIn } from './job-streams.ts'
import type { Consumer, JobStreams, StoredJob } from './job-streams.ts'

export interface JobWorkerOptions {
  readonly streams: JobStreams
  readonly log: Logger
  /** False, for a negative control: consumers are used as a killed server has restored them. */
  readonly renewsConsumers: boolean
  prepared(): Promise<Nats>
}

/** The message is the latest delivery. */
interface Claimed { message: JsMsg; readonly stored: StoredJob; renewedAtMs: number }

const renewMs = 1_000
const fetchMs = 5_000
const obeyMs = 100
const putOffMs = 50
const dueMax = 100
/** Long waits in steps: the server may forget one when it restarts, and the clock may be set. */
const delayMsMax = 3_600_000
/** The n-th failure waits up to 2^n × 200 ms, at most five minutes, with full jitter. */
const retry = { baseMs: 400, capMs: 300_000 }
const reconnect = { baseMs: 50, capMs: 1_000 }

export class JobWorker implements Working {
  readonly #options: JobWorkerOptions
  readonly #work: WorkOptions
  readonly #stopping = new AbortController()
  readonly #cutting = new AbortController()
  readonly #running = new Map<Claimed, Promise<void>>()
  readonly #ahead: Claimed[] = []
  readonly #fetches = new Set<ConsumerMessages>()
  readonly #loops: Promise<void>[]
  readonly #stopRenewing: () => void
  #placeIsFree = Promise.withResolvers<void>()

  constructor(options: JobWorkerOptions, work: WorkOptions) {
    this.#options = options
    this.#work = work
    const { streams } = options
    const lanes = Array.from({ length: serialLanes }, (_, lane) => serialConsumer(streams, lane))
    this.#loops = [
      ...[...work.names.map(name => freeConsumer(streams, name)), ...lanes].map(one => this.#fetchLoop(streams.jobs, one, work.concurrency, message => this.#claim(message))),
      this.#fetchLoop(streams.later, streams.due, dueMax, message => this.#move(message)),
    ]
    this.#stopRenewing = every(renewMs, () => this.#renew())
  }

  async stop(graceMs: number): Promise<void> {
    this.#stopping.abort()
    this.#placeIsFree.resolve()
    for (const fetch of this.#fetches) fetch.stop()
    const idle = Promise.all(this.#loops).then(() => {
      for (const { message } of this.#ahead.splice(0)) message.nak()
      return Promise.all(this.#running.values())
    })
    await Promise.race([idle, sleep(graceMs)])
    this.#cutting.abort()
    await idle
    this.#stopRenewing()
  }

  async #fetchLoop(stream: JobStreams['jobs'], config: Consumer, count: number, take: (message: JsMsg) => Promise<void>): Promise<void> {
    const { signal } = this.#stopping
    for (let failures = 0; !signal.aborted;) {
      try {
        const nats = await this.#options.prepared()
        const start = this.#startOf(nats)
        await ensureConsumer(nats, stream.name, config, start)
        const consumer = await nats.jetstream.consumers.get(stream.name, config.durable_name)
        for (failures = 0; !signal.aborted && this.#startOf(nats) === start;) {
          const fetch = await consumer.fetch({ max_messages: count, expires: fetchMs })
          this.#fetches.add(fetch)
          if (signal.aborted) fetch.stop()
          for await (const message of fetch) await take(message)
          this.#fetches.delete(fetch)
          await this.#freePlace()
        }
      } catch (error) {
        if (signal.aborted) return
        failures++
        this.#options.log.debug({ err: error, consumer: config.durable_name }, 'fetching jobs failed')
        await sleep(backoffMs(reconnect, Math.min(failures, 6)), signal)
      }
    }
  }

  #startOf(nats: Nats): string | undefined { return this.#options.renewsConsumers ? startOf(nats) : undefined }

  /** Resolves when fewer wait here than may run at a time. */
  async #freePlace(): Promise<void> {
    while (this.#ahead.length >= this.#work.concurrency && !this.#stopping.signal.aborted) await this.#placeIsFree.promise
  }

  async #claim(message: JsMsg): Promise<void> {
    const stored = storedIn(message.string())
    if (this.#stopping.signal.aborted) return message.nak()
    // Of a serial lane, whose names are mixed: another worker has this one.
    if (!this.#work.names.includes(stored.job.name)) return message.nak(renewMs)
    const renewedAtMs = monotonicMs()
    // Its claim ran out, or the consumer is a new one: it goes on, and this delivery is the one to be acknowledged.
    const here = [...this.#running.keys(), ...this.#ahead].find(one => one.message.seq === message.seq)
    if (here) return void Object.assign(here, { message, renewedAtMs })
    this.#ahead.push({ message, stored, renewedAtMs })
    this.#begin()
  }

  #begin(): void {
    while (this.#running.size < this.#work.concurrency && this.#ahead.length > 0 && !this.#stopping.signal.aborted) {
      const claimed = this.#ahead.shift()!
      // It could not be renewed in time and may be another worker's by now.
      if (monotonicMs() - claimed.renewedAtMs >= leaseMs) continue
      this.#running.set(claimed, this.#run(claimed).finally(() => {
        this.#running.delete(claimed)
        this.#begin()
      }))
    }
    this.#placeIsFree.resolve()
    this.#placeIsFree = Promise.withResolvers()
  }

  async #run(claimed: Claimed): Promise<void> {
    const { stored } = claimed
    const { signal } = this.#cutting
    const { job } = stored
    const attempt = job.serial === undefined ? stored.attempts + 1 : claimed.message.info.deliveryCount
    const cut = new Promise<'cut'>(resolve => {
      const onAbort = () => { void sleep(obeyMs).then(() => resolve('cut')) }
      if (signal.aborted) onAbort()
      else signal.addEventListener('abort', onAbort, { once: true })
    })
    const handled = Promise.resolve().then(() => this.#work.handle({ job, attempt, signal })).then(() => 'done' as const, (error: unknown) => ({ error }))
    const outcome = await Promise.race([handled, cut])
    if (outcome === 'done') return this.#settle(claimed)
    if (outcome === 'cut' || signal.aborted) return claimed.message.nak()
    const error = String((outcome.error as Error | null)?.message ?? outcome.error)
    this.#options.log.warn({ err: outcome.error, intent: job.name, traceId: job.traceparent ? traceIdOf(job.traceparent) : undefined, id: job.id, attempt, attemptsMax: job.attemptsMax }, 'a job failed')
    const { streams } = this.#options
    const next = { job, attempts: attempt, moves: stored.moves + 1, error }
    if (attempt >= job.attemptsMax) return this.#settle(claimed, () => this.#put(streams.dead, deadSubject(streams, job.id), { ...next, readyAtMs: agreedNow() }))
    const delayMs = backoffMs(retry, attempt)
    if (job.serial !== undefined) return claimed.message.nak(delayMs)
    const readyAtMs = agreedNow() + delayMs
    await this.#settle(claimed, () => this.#put(streams.later, laterSubject(streams, job.id), { ...next, readyAtMs }))
  }

  /** Writes down how it ended, where it is to lie now first: dying in between it would be there twice, never not at all. */
  async #settle(claimed: Pick<Claimed, 'message'>, put?: () => Promise<boolean>): Promise<void> {
    let isPut = put === undefined
    for (let attempt = 1; attempt <= 8; attempt++) {
      try {
        isPut ||= await put!()
        if (isPut && await claimed.message.ackAck()) return
      } catch (error) {
        this.#options.log.debug({ err: error }, 'the outcome of a job could not be written yet')
      }
      await sleep(backoffMs(reconnect, attempt))
    }
  }

  async #put(stream: JobStreams['jobs'], subject: string, stored: StoredJob): Promise<boolean> {
    return put(await this.#options.prepared(), stream, subject, stored)
  }

  /** To where it may run, when it is due. */
  async #move(message: JsMsg): Promise<void> {
    const stored = storedIn(message.string())
    const delayMs = stored.readyAtMs - agreedNow()
    if (delayMs > 0) return message.nak(Math.min(delayMs, delayMsMax))
    const { streams } = this.#options
    const isPut = await this.#put(streams.jobs, readySubject(streams, stored.job), { ...stored, moves: stored.moves + 1 }).catch((error: unknown) => {
      this.#options.log.debug({ err: error }, 'a job that is due could not be moved yet')
      return false
    })
    // Those behind it need not wait with it.
    if (!isPut) return message.nak(putOffMs)
    await this.#settle({ message })
  }

  #renew(): void {
    const renewedAtMs = monotonicMs()
    for (const claimed of [...this.#running.keys(), ...this.#ahead]) {
      claimed.message.working()
      claimed.renewedAtMs = renewedAtMs
    }
  }
}
