/**
 * One partition of one consumer, in one of the processes that would lead it.
 *
 *   free ─ nobody alive owns it, and it is within this process's share ─▶ claim the record ─▶ read ─▶ handle ─▶ write the record …
 *   a batch fails: its messages one by one; one that fails is parked with the later ones of
 *   its key and tried again after a backoff; at attemptsMax it is a dead letter.
 *   stop, or more than its share: the running batch ends, then the record is given back.
 *   the record is another's: it reads no more, and what it had not written comes to the other
 *   one, which the inbox knows.
 */
import { backoffMs } from '../../base/backoff.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import { monotonicMs, now, sleep } from '../../base/time.ts'
import { traceIdOf } from '../../base/traceparent.ts'
import type { Subscription } from '../../ports/bus.ts'
import type { Blocked, OutboxEntry, OutboxPlace, Parking } from '../../ports/outbox.ts'
import type { NatsLink } from './connection.ts'
import { EventReader } from './event-reader.ts'
import type { StreamEntry } from './event-reader.ts'
import { filterOf, reaches } from './event-stream.ts'
import type { EventStreams } from './event-stream.ts'
import { Overtaken, recordOf } from './progress-book.ts'
import type { ConsumerRecord, ProgressBook } from './progress-book.ts'

export interface EventConsumerOptions {
  readonly link: NatsLink
  readonly streams: EventStreams
  readonly book: ProgressBook
  readonly parking: Parking
  /** Where the consumer was when it had no record of the stream that is there now. */
  noted(): Promise<OutboxPlace>
  readonly subscription: Subscription
  readonly partition: number
  readonly log: Logger
  readonly metrics: MetricRegistry | null
  /** How many partitions of this consumer the process leads. */
  led(): number
}

const claimMs = 250
/** Who leads some already lets others come first. */
const courtesyMs = 60
const gatherMsDefault = 3
const parkedPollMs = 25
/** A dead letter may be back without a word of it. */
const reloadMs = 10_000
const retry = { baseMs: 50, capMs: 1_000 }
/** A record is written now and then though nothing changes: one that is older is forgotten. */
const refreshMs = 3_600_000

export class EventConsumer {
  readonly #options: EventConsumerOptions
  readonly #stopping = new AbortController()
  readonly #names: ReadonlySet<string>
  readonly #done: Promise<void>
  #record: ConsumerRecord
  #revision = 0
  #leading: AbortController | null = null
  #blocked: Blocked = { keys: new Set(), lsn: null }
  #reload = false
  #loadedAtMs = 0
  #isDirty = false
  #writing: Promise<void> | undefined

  constructor(options: EventConsumerOptions) {
    this.#options = options
    this.#names = new Set(options.subscription.names)
    this.#record = this.#fresh('')
    this.#done = this.#run()
  }

  get leading(): boolean { return this.#leading !== null }

  /** Looks at the parked messages again: one has been brought back. */
  reload(): void { this.#reload = true }

  /** Gives the partition back; whoever has less than its share takes it. */
  release(): void { this.#leading?.abort() }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#leading?.abort()
    await this.#done
  }

  #fresh(made: string): ConsumerRecord {
    const { subscription, partition } = this.#options
    return recordOf(subscription.consumer, partition, subscription.names as readonly string[], made)
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        if (!await this.#claim(signal)) return
        attempt = 1
        await this.#lead(this.#leading!.signal)
      } catch (error) {
        if (!signal.aborted) this.#options.log.debug({ err: error, consumer: this.#options.subscription.consumer }, 'a consumer stopped and begins again')
      }
      await this.#giveBack()
      if (!signal.aborted) await sleep(backoffMs(retry, Math.min(attempt, 6)), signal)
    }
  }

  /** False when it is to stop before it leads. */
  async #claim(signal: AbortSignal): Promise<boolean> {
    const { book, partition, subscription: { consumer, names }, parking, led } = this.#options
    for (; !signal.aborted; await book.changed(claimMs)) {
      if (!this.#isFree() || led() >= book.shareOf(consumer)) continue
      await sleep(courtesyMs * led(), signal)
      if (signal.aborted || !this.#isFree()) continue
      const known = book.of(consumer, partition)
      this.#blocked = await parking.blocked()
      const { made } = book.relay!
      const from = known?.record.made === made ? known.record : { ...this.#fresh(made), ...await this.#options.noted() }
      this.#record = { ...from, names: names as readonly string[], owner: book.id, parkedLsn: this.#parkedLsn(), atMs: now() }
      try {
        this.#revision = await book.write(this.#record, known?.revision ?? 0)
        this.#leading = new AbortController()
        return true
      } catch (error) {
        if (!(error instanceof Overtaken)) throw error
      }
    }
    return false
  }

  #isFree(): boolean {
    const { book, partition, subscription: { consumer } } = this.#options
    if (!book.ready || !book.relay) return false
    const owner = book.of(consumer, partition)?.record.owner ?? null
    return owner === null || owner === book.id || !book.isAlive(owner)
  }

  async #lead(signal: AbortSignal): Promise<void> {
    const { link, streams, book, partition, log, subscription: { names } } = this.#options
    const reader = new EventReader(link, streams.events.name, filterOf(streams, partition, names as readonly string[]), this.#record.sequence + 1, log)
    this.#loadedAtMs = monotonicMs()
    try {
      while (!signal.aborted) {
        // The stream was lost and is filled again from the outbox.
        if (book.relay && book.relay.made !== this.#record.made) return
        if (monotonicMs() - this.#loadedAtMs > reloadMs) this.#reload = true
        if (this.#blocked.keys.size > 0 || this.#reload) await this.#retryParked()
        const entries = await this.#take(reader, signal)
        if (entries.length > 0) await this.#pass(entries)
        else if (now() - this.#record.atMs > refreshMs) this.#write({})
      }
    } finally {
      await reader.close()
    }
  }

  /** Lets some gather, so that batches form. */
  async #take(reader: EventReader, signal: AbortSignal): Promise<StreamEntry[]> {
    const entries = await reader.take(limits.batchEventsMax, this.#blocked.keys.size > 0 ? parkedPollMs : claimMs, signal)
    if (entries.length === 0 || entries.length === limits.batchEventsMax) return entries
    await sleep(this.#options.subscription.gatherMs ?? gatherMsDefault, signal)
    return reader.waiting === 0 ? entries : [...entries, ...await reader.take(limits.batchEventsMax - entries.length, 0, signal)]
  }

  async #pass(entries: readonly StreamEntry[]): Promise<void> {
    // What lies before its place it has handled: in another stream, or on another bus.
    const own = entries.filter(entry => this.#names.has(entry.message.name) && !reaches(this.#record, entry))
    if (own.length > 0) await this.#handle(own)
    const { sequence, tx, seq } = entries.at(-1)!
    this.#write(reaches(this.#record, { tx, seq }) ? { sequence } : { sequence, tx, seq })
  }

  #parkedLsn(): string | null { return this.#blocked.lsn === null ? null : String(this.#blocked.lsn) }

  /** Soon, and the newest only: while one write is on its way the next ones become one. */
  #write(change: Partial<ConsumerRecord>): void {
    this.#record = { ...this.#record, ...change, parkedLsn: this.#parkedLsn(), atMs: now() }
    this.#isDirty = true
    this.#writing ??= this.#flush().finally(() => { this.#writing = undefined })
  }

  async #flush(): Promise<void> {
    for (let attempt = 1; this.#isDirty && attempt <= 10; attempt++) {
      this.#isDirty = false
      try {
        this.#revision = await this.#options.book.write(this.#record, this.#revision)
        attempt = 0
      } catch (error) {
        if (error instanceof Overtaken) return this.#leading?.abort()
        this.#isDirty = true
        // Who stops does not wait for a broker that is away: the record only tells less than was done.
        if (this.#stopping.signal.aborted) return
        await sleep(backoffMs(retry, attempt))
      }
    }
  }

  async #giveBack(): Promise<void> {
    if (!this.#leading) return
    this.#leading = null
    this.#write({ owner: null })
    await this.#writing
  }

  async #park(entries: readonly OutboxEntry[], attempts: number, delayMs: number, error: string): Promise<void> {
    await this.#options.parking.park(entries, attempts, delayMs, error)
    let { lsn } = this.#blocked
    for (const entry of entries) {
      this.#blocked.keys.add(entry.message.key)
      if (lsn === null || entry.lsn < lsn) lsn = entry.lsn
    }
    this.#blocked = { keys: this.#blocked.keys, lsn }
  }

  async #handle(entries: readonly OutboxEntry[]): Promise<void> {
    const blocked = entries.filter(entry => this.#blocked.keys.has(entry.message.key))
    const free = blocked.length === 0 ? entries : entries.filter(entry => !this.#blocked.keys.has(entry.message.key))
    if (blocked.length > 0) await this.#park(blocked, 0, 0, 'an earlier message of the same key failed')
    if (free.length === 0) return
    try {
      await this.#options.subscription.handle(free.map(entry => entry.message))
    } catch (error) {
      this.#options.log.debug({ err: error, consumer: this.#options.subscription.consumer, messages: free.length }, 'a batch failed; its messages one by one')
      await this.#handleSingly(free)
    }
  }

  async #handleSingly(entries: readonly OutboxEntry[]): Promise<void> {
    const { parking, subscription: { attemptsMax, backoff } } = this.#options
    for (const entry of entries) {
      if (this.#stopping.signal.aborted) throw new Error('stopping')
      if (this.#blocked.keys.has(entry.message.key)) {
        await this.#park([entry], 0, 0, 'an earlier message of the same key failed')
        continue
      }
      const error = await this.#try(entry)
      if (error === null) continue
      if (attemptsMax > 1) await this.#park([entry], 1, backoffMs(backoff, 1), error)
      else {
        await parking.park([entry], 1, 0, error)
        await parking.fail(entry, 1, 0, true, error)
        this.#countDead()
      }
    }
  }

  async #retryParked(): Promise<void> {
    const { parking, log, subscription: { attemptsMax, backoff } } = this.#options
    this.#reload = false
    this.#loadedAtMs = monotonicMs()
    for (const entry of await parking.due()) {
      const error = await this.#try(entry)
      if (error === null) {
        await parking.unpark(entry)
        continue
      }
      const attempts = entry.attempts + 1
      const dead = attempts >= attemptsMax
      if (dead) log.error({ ...this.#about(entry), event: entry.message.name, attempts, error }, 'a message is a dead letter now')
      await parking.fail(entry, attempts, backoffMs(backoff, attempts), dead, error)
      if (dead) this.#countDead()
    }
    const before = this.#parkedLsn()
    this.#blocked = await parking.blocked()
    if (this.#parkedLsn() !== before) this.#write({})
  }

  #countDead(): void { this.#options.metrics?.counter('tenfold_intent_dead_total', this.#options.subscription.consumer).add() }

  #about({ message: { id, traceparent } }: OutboxEntry): Record<string, unknown> {
    return { intent: this.#options.subscription.consumer, message: id, traceId: traceparent && traceIdOf(traceparent) }
  }

  async #try(entry: OutboxEntry): Promise<string | null> {
    const startedAtMs = monotonicMs()
    try {
      await this.#options.subscription.handle([entry.message])
      return null
    } catch (error) {
      this.#options.log.warn({ err: error, ...this.#about(entry), tookMs: monotonicMs() - startedAtMs }, 'a message failed')
      return String((error as Error)?.message ?? error)
    }
  }
}
