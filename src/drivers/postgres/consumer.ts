/**
 * One consumer of the bus: a loop on a connection of its own.
 *
 *   connect ─▶ lock (one process per consumer) ─▶ poll ─▶ handle ─▶ save cursor ─▶ poll …
 *                                                  └ nothing: wait for a wake-up or pollMs
 *   a batch fails: its messages one by one; one that fails is parked with the later ones of
 *   its key and tried again after a backoff; at attemptsMax it is a dead letter.
 *   the connection ends: all of it again after a backoff
 */
import pg from 'pg'
import { backoffMs } from '../../base/backoff.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { after, monotonicMs, sleep } from '../../base/time.ts'
import type { Subscribed, Subscription } from '../../ports/bus.ts'
import { ConsumerStore, reaches } from './consumer-store.ts'
import type { Entry, LogPosition } from './consumer-store.ts'

export interface ConsumerOptions {
  readonly url: string
  readonly log: Logger
  readonly pollMs: number
}

/** Commits that arrive within this time share a poll, so that batches form under load. */
const gatherMs = 2
/** While a running transaction holds the horizon back. */
const horizonPollMs = 3
const reconnect = { baseMs: 50, capMs: 1_000 }
const lockText = `SELECT pg_try_advisory_lock(hashtextextended('tenfold consumer ' || $1, 0)) AS held`

export class Consumer implements Subscribed {
  readonly #options: ConsumerOptions
  readonly subscription: Subscription
  readonly #stopping = new AbortController()
  readonly #done: Promise<void>
  #position: LogPosition = { tx: '0', seq: '0' }
  #parked = new Set<string>()
  #reload = false
  #leading = false
  #woken = false
  #wake: (() => void) | undefined
  #waiters: { target: LogPosition; resolve: () => void }[] = []

  constructor(options: ConsumerOptions, subscription: Subscription) {
    this.#options = options
    this.subscription = subscription
    this.#done = this.#run()
  }

  get names(): readonly string[] | null { return this.subscription.names === 'jobs' ? null : this.subscription.names }

  /** False while another process delivers to this consumer: then the cursor in the database tells how far it is. */
  get leading(): boolean { return this.#leading }

  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Looks at the parked messages again: one has been brought back. */
  async reload(): Promise<void> {
    this.#reload = true
    this.wake()
  }

  /** Resolves when the position is reached; the caller bounds the wait. */
  reached(target: LogPosition): Promise<void> {
    if (reaches(this.#position, target) && this.#parked.size === 0) return Promise.resolve()
    this.wake()
    return new Promise(resolve => { this.#waiters.push({ target, resolve }) })
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#wake?.()
    await this.#done
  }

  async #run(): Promise<void> {
    for (let attempt = 1; !this.#stopping.signal.aborted; attempt++) {
      const client = new pg.Client({ connectionString: this.#options.url, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: `tenfold ${this.subscription.consumer}` })
      client.on('error', () => {})
      try {
        await client.connect()
        await this.#lock(client)
        attempt = 1
        await this.#consume(new ConsumerStore(client, this.subscription.consumer))
      } catch (error) {
        if (!this.#stopping.signal.aborted) this.#options.log.debug({ err: error, consumer: this.subscription.consumer }, 'a consumer lost its connection')
      } finally {
        this.#leading = false
        await client.end().catch(() => {})
      }
      if (!this.#stopping.signal.aborted) await sleep(backoffMs(reconnect, Math.min(attempt, 6)), this.#stopping.signal)
    }
  }

  async #lock(client: pg.Client): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      const { rows } = await client.query<{ held: boolean }>(lockText, [this.subscription.consumer])
      if (rows[0]!.held) return
      await sleep(this.#options.pollMs, this.#stopping.signal)
    }
  }

  async #consume(store: ConsumerStore): Promise<void> {
    this.#advance(await store.cursor())
    this.#parked = await store.parkedKeys()
    this.#leading = true
    while (!this.#stopping.signal.aborted) {
      this.#woken = false
      if (this.#parked.size > 0 || this.#reload) {
        this.#reload = false
        await this.#retryParked(store)
      }
      const entries = await store.poll(this.#position, this.names, limits.batchEventsMax)
      if (entries.length > 0) {
        await this.#handle(store, entries)
        await this.#save(store, entries.at(-1)!)
        continue
      }
      const { readable, committed } = await store.head()
      // Rows that are not this consumer's: step over them, so that polls and waiters see how far it is.
      if (readable && !reaches(this.#position, readable) && !this.#woken) {
        const more = await store.poll(this.#position, this.names, 1)
        if (more.length === 0) await this.#save(store, readable)
        continue
      }
      const heldBack = committed !== null && !reaches(this.#position, committed)
      await this.#wait(heldBack ? horizonPollMs : this.#options.pollMs)
    }
  }

  async #wait(delayMs: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>(resolve => {
        const cancel = after(delayMs, resolve)
        this.#wake = () => { cancel(); resolve() }
        if (this.#stopping.signal.aborted) resolve()
      })
      this.#wake = undefined
    }
    if (this.#woken && this.#waiters.length === 0) await sleep(gatherMs, this.#stopping.signal)
  }

  async #save(store: ConsumerStore, position: LogPosition): Promise<void> {
    await store.saveCursor(position)
    this.#advance({ tx: position.tx, seq: position.seq })
  }

  #advance(position: LogPosition): void {
    this.#position = position
    if (this.#waiters.length === 0 || this.#parked.size > 0) return
    const reached = this.#waiters.filter(waiter => reaches(position, waiter.target))
    this.#waiters = this.#waiters.filter(waiter => !reached.includes(waiter))
    for (const waiter of reached) waiter.resolve()
  }

  async #handle(store: ConsumerStore, entries: readonly Entry[]): Promise<void> {
    const blocked = entries.filter(entry => this.#parked.has(entry.message.key))
    const free = blocked.length === 0 ? entries : entries.filter(entry => !this.#parked.has(entry.message.key))
    if (blocked.length > 0) await store.park(blocked, 0, 0, 'an earlier message of the same key failed')
    if (free.length === 0) return
    try {
      await this.subscription.handle(free.map(entry => entry.message))
    } catch (error) {
      this.#options.log.debug({ err: error, consumer: this.subscription.consumer, messages: free.length }, 'a batch failed; its messages one by one')
      await this.#handleSingly(store, free)
    }
  }

  async #handleSingly(store: ConsumerStore, entries: readonly Entry[]): Promise<void> {
    for (const entry of entries) {
      if (this.#stopping.signal.aborted) throw new Error('stopping')
      if (this.#parked.has(entry.message.key)) {
        await store.park([entry], 0, 0, 'an earlier message of the same key failed')
        continue
      }
      const error = await this.#try(entry)
      if (error === null) continue
      const dead = this.subscription.attemptsMax <= 1
      await store.park([entry], 1, backoffMs(this.subscription.backoff, 1), error)
      if (dead) await store.failAgain(entry, 1, 0, true, error)
      else this.#parked.add(entry.message.key)
    }
  }

  async #retryParked(store: ConsumerStore): Promise<void> {
    for (const entry of await store.parkedDue()) {
      const error = await this.#try(entry)
      if (error === null) await store.unpark(entry)
      else {
        const attempts = entry.attempts + 1
        const dead = attempts >= this.subscription.attemptsMax
        if (dead) this.#options.log.error({ consumer: this.subscription.consumer, message: entry.message.id, event: entry.message.name, attempts, error }, 'a message is a dead letter now')
        await store.failAgain(entry, attempts, backoffMs(this.subscription.backoff, attempts), dead, error)
      }
    }
    this.#parked = await store.parkedKeys()
    this.#advance(this.#position)
  }

  async #try(entry: Entry): Promise<string | null> {
    const startedAtMs = monotonicMs()
    try {
      await this.subscription.handle([entry.message])
      return null
    } catch (error) {
      this.#options.log.warn({ err: error, consumer: this.subscription.consumer, message: entry.message.id, tookMs: monotonicMs() - startedAtMs }, 'a message failed')
      return String((error as Error)?.message ?? error)
    }
  }
}
