/**
 * One consumer of the bus: a loop on a connection of its own.
 *
 *   connect ─▶ lock (one process per consumer) ─▶ look ahead ─▶ poll ─▶ handle ─▶ save cursor ─▶ look …
 *                                                  └ nothing: wait for a wake-up or pollMs
 *   the cursor commits with the effects of the batch where the handler takes the advance along
 *   a batch fails: its messages one by one; one that fails is parked with the later ones of
 *   its key and tried again after a backoff; at attemptsMax it is a dead letter.
 *   the connection ends: all of it again after a backoff
 *
 * What it shows, a reader learns without a statement: each look takes the position of the
 * log first and what is committed after it, so once all of that is handled, everything is
 * that a token before the position may have seen. (Not a token at the position itself: a
 * commit may be on disk a moment before others can see it.)
 */
import { backoffMs } from '../../base/backoff.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import { after, monotonicMs, sleep } from '../../base/time.ts'
import { traceIdOf } from '../../base/traceparent.ts'
import type { Subscribed, Subscription } from '../../ports/bus.ts'
import type { Position } from '../../ports/database.ts'
import { ConsumerPace } from './consumer-pace.ts'
import { ConsumerStore, Parked } from './consumer-store.ts'
import type { Entry } from './consumer-store.ts'
import { firstPlace, reaches } from './log-position.ts'
import type { OutboxPlace } from './log-position.ts'
import { PrimaryClient } from './primary-client.ts'
import { jobsWord } from './transaction.ts'

export interface ConsumerOptions {
  readonly url: string
  readonly log: Logger
  readonly pollMs: number
  readonly metrics?: MetricRegistry | null | undefined
}

interface Waiter { readonly target: OutboxPlace; readonly lsn: bigint; resolve(reached: boolean): void }

/** A cursor that moved over other consumers' rows only is saved this often: each save is a commit. */
const stepSaveMs = 1_000
/** What was learnt longer ago does not count: the connection may be to an engine that is no longer the primary. */
const freshMs = 1_000
/** Who waits longer says so again. */
export const hurryMs = 100
const reconnect = { baseMs: 50, capMs: 1_000 }

export class Consumer implements Subscribed {
  readonly #options: ConsumerOptions
  readonly subscription: Subscription
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>
  #place = firstPlace
  #epoch = ''
  /** Up to here the inbox alone knows what has been handled. */
  #inboxUntil = firstPlace
  #saved = { place: firstPlace, atMs: 0 }
  #parked = new Parked()
  #shown: { position: Position; atMs: number } | undefined
  #reload = false
  /** The LSN that a reader asked for in vain: the next look should go beyond it. */
  #asked = -1n
  #leading = false
  readonly #waiters = new Set<Waiter>()
  /** A reader of another process may wait until then. */
  #awaitedUntilMs = -Infinity
  readonly #pace: ConsumerPace
  readonly #batchMax: number

  constructor(options: ConsumerOptions, subscription: Subscription) {
    this.#options = options
    this.subscription = subscription
    this.#batchMax = subscription.batchMax ?? limits.batchEventsMax
    this.#pace = new ConsumerPace(this.#stopping.signal, () => this.#waiters.size > 0 || monotonicMs() < this.#awaitedUntilMs, subscription.gatherMs, true)
    this.#done = this.#run()
  }

  get names(): readonly string[] | null { return this.subscription.names === 'jobs' ? null : this.subscription.names }

  /** False while another process delivers to this consumer: then the cursor in the database tells how far it is. */
  get leading(): boolean { return this.#leading }

  /** True when one of these names is its own. */
  reads(names: ReadonlySet<string>): boolean {
    return this.names === null ? names.has(jobsWord) : this.names.some(name => names.has(name))
  }

  wake(): void { this.#pace.wake() }

  /** Somebody in another process waits for it. */
  hurry(): void {
    this.#awaitedUntilMs = monotonicMs() + hurryMs
    this.#pace.wake()
    this.#pace.hurry()
  }

  /** Looks at the parked messages again: one has been brought back. */
  async reload(): Promise<void> {
    this.#reload = true
    this.wake()
  }

  /** True when everything that the holder of this position may have seen is handled, as far as is known here. */
  shows({ timeline, lsn }: Position): boolean {
    const shown = this.#shown
    return this.#leading && shown !== undefined && monotonicMs() - shown.atMs < freshMs
      && shown.position.timeline === timeline && lsn < shown.position.lsn && !this.#parked.holdsBack(lsn)
  }

  /** Looks again soon, so that the next reader with this position need not ask the database. */
  learn({ lsn }: Position): void {
    if (lsn > this.#asked) this.#asked = lsn
    this.wake()
  }

  /** Resolves with true when the place is reached and nothing is parked that was written before the LSN, with false after timeoutMs. */
  reached(target: OutboxPlace, lsn: bigint, timeoutMs: number): Promise<boolean> {
    if (reaches(this.#place, target) && !this.#parked.holdsBack(lsn)) return Promise.resolve(true)
    return new Promise(resolve => {
      const cancel = after(timeoutMs, () => waiter.resolve(false))
      const waiter: Waiter = { target, lsn, resolve: reached => { cancel(); this.#waiters.delete(waiter); resolve(reached) } }
      this.#waiters.add(waiter)
      this.#pace.wake()
      this.#pace.hurry()
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#pace.stop()
    await this.#done
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      const client = new PrimaryClient({ connectionString: this.#options.url, connectionTimeoutMillis: limits.connectTimeoutMs, pipeline: true, application_name: `tenfold ${this.subscription.consumer}` })
      client.on('error', () => {})
      try {
        await client.connect()
        const store = new ConsumerStore(client, this.subscription.consumer)
        if (!await this.#lock(store)) return
        attempt = 1
        await this.#consume(store)
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#options.log.debug({ err: error, consumer: this.subscription.consumer }, 'a consumer lost its connection')
      } finally {
        this.#leading = false
        await client.end().catch(() => {})
      }
      if (!this.#stopping.signal.aborted) await sleep(backoffMs(reconnect, Math.min(attempt, 6)), this.#stopping.signal)
    }
  }

  /** False when it is to stop before it leads. */
  async #lock(store: ConsumerStore): Promise<boolean> {
    while (!this.#stopping.signal.aborted) {
      if (await store.lock()) return true
      await sleep(this.#options.pollMs, this.#stopping.signal)
    }
    return false
  }

  async #consume(store: ConsumerStore): Promise<void> {
    this.#shown = undefined
    await this.#begin(store)
    this.#leading = true
    while (!this.#stopping.signal.aborted) {
      this.#pace.look()
      if (this.#parked.keys.size > 0 || this.#reload) {
        this.#reload = false
        await this.#retryParked(store)
      }
      await this.#step(store)
    }
  }

  async #begin(store: ConsumerStore): Promise<void> {
    const { epoch, place, newest } = await store.begin(this.names)
    this.#epoch = epoch
    this.#inboxUntil = newest
    this.#saved = { place, atMs: monotonicMs() }
    this.#parked = await store.parked()
    this.#reach(place)
  }

  /** Looks ahead and handles what may be read; waits when there is nothing. */
  async #step(store: ConsumerStore): Promise<void> {
    const { position, readable, own } = await store.head(this.#place, this.names)
    const lookedAtMs = monotonicMs()
    if (own) {
      const entries = await store.poll(this.#place, this.names, this.#batchMax)
      // It is committed, and a running transaction still holds the horizon back.
      if (entries.length === 0) return this.#pace.awaitHorizon()
      const last = entries.at(-1)!
      if (await this.#handle(store, entries)) this.#moved(last)
      else await this.#save(store, last)
      if (reaches(this.#place, own)) this.#shown = { position, atMs: lookedAtMs }
      if (entries.length < this.#batchMax) await this.#pace.restAfter(entries.length)
      return
    }
    this.#shown = { position, atMs: lookedAtMs }
    if (readable && !reaches(this.#place, readable)) this.#reach(readable)
    const stepped = !reaches(this.#saved.place, this.#place) && lookedAtMs - this.#saved.atMs > stepSaveMs
    // On a quiet engine the log stands still just at the position asked for; a commit moves it.
    const still = this.#asked >= position.lsn
    this.#asked = -1n
    if (stepped || still) await this.#save(store, this.#place)
    if (!still) await this.#pace.wait(this.#options.pollMs)
  }

  async #save(store: ConsumerStore, place: OutboxPlace): Promise<void> {
    await store.saveCursor(place)
    this.#moved(place)
  }

  #moved(place: OutboxPlace): void {
    this.#saved = { place, atMs: monotonicMs() }
    this.#reach(place)
  }

  #reach({ tx, seq }: OutboxPlace): void {
    this.#place = { tx, seq }
    for (const waiter of this.#waiters) if (reaches(this.#place, waiter.target) && !this.#parked.holdsBack(waiter.lsn)) waiter.resolve(true)
  }

  async #park(store: ConsumerStore, entries: readonly Entry[], attempts: number, delayMs: number, error: string): Promise<void> {
    await store.park(entries, attempts, delayMs, error)
    for (const entry of entries) this.#parked.add(entry)
  }

  /** True when the cursor has moved with the effects. */
  async #handle(store: ConsumerStore, entries: readonly Entry[]): Promise<boolean> {
    const blocked = entries.filter(entry => this.#parked.keys.has(entry.message.key))
    const free = blocked.length === 0 ? entries : entries.filter(entry => !this.#parked.keys.has(entry.message.key))
    if (blocked.length > 0) await this.#park(store, blocked, 0, 0, 'an earlier message of the same key failed')
    if (free.length === 0) return false
    const { tx, seq } = entries.at(-1)!
    const advance = blocked.length === 0 && !reaches(this.#inboxUntil, entries[0]!) ? { consumer: this.subscription.consumer, epoch: this.#epoch, tx, seq } : null
    try {
      return await this.subscription.handle(free.map(entry => entry.message), advance) === 'advanced'
    } catch (error) {
      this.#options.log.debug({ err: error, consumer: this.subscription.consumer, messages: free.length }, 'a batch failed; its messages one by one')
      // It may have committed, and its answer be lost; and must not any more.
      if (advance) await this.#begin(store)
      if (advance && reaches(this.#place, advance)) return true
      await this.#handleSingly(store, free)
      return false
    }
  }

  async #handleSingly(store: ConsumerStore, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      if (this.#stopping.signal.aborted) throw new Error('stopping')
      if (this.#parked.keys.has(entry.message.key)) {
        await this.#park(store, [entry], 0, 0, 'an earlier message of the same key failed')
        continue
      }
      const error = await this.#try(entry)
      if (error === null) continue
      if (this.subscription.attemptsMax > 1) await this.#park(store, [entry], 1, backoffMs(this.subscription.backoff, 1), error)
      else {
        await store.park([entry], 1, 0, error)
        await store.failAgain(entry, 1, 0, true, error)
        this.#options.metrics?.counter('tenfold_intent_dead_total', this.subscription.consumer).add()
      }
    }
  }

  async #retryParked(store: ConsumerStore): Promise<void> {
    for (const entry of await store.parkedDue()) {
      const error = await this.#try(entry)
      if (error === null) await store.unpark(entry)
      else {
        const attempts = entry.attempts + 1
        const dead = attempts >= this.subscription.attemptsMax
        if (dead) this.#options.log.error({ ...this.#about(entry), event: entry.message.name, attempts, error }, 'a message is a dead letter now')
        await store.failAgain(entry, attempts, backoffMs(this.subscription.backoff, attempts), dead, error)
        if (dead) this.#options.metrics?.counter('tenfold_intent_dead_total', this.subscription.consumer).add()
      }
    }
    this.#parked = await store.parked()
    this.#reach(this.#place)
  }

  #about({ message: { id, traceparent } }: Entry): Record<string, unknown> {
    return { intent: this.subscription.consumer, message: id, traceId: traceparent && traceIdOf(traceparent) }
  }

  async #try(entry: Entry): Promise<string | null> {
    const startedAtMs = monotonicMs()
    try {
      await this.subscription.handle([entry.message])
      return null
    } catch (error) {
      this.#options.log.warn({ err: error, ...this.#about(entry), tookMs: monotonicMs() - startedAtMs }, 'a message failed')
      return String((error as Error)?.message ?? error)
    }
  }
}
