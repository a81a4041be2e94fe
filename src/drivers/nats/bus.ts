/**
 * The bus port on NATS JetStream: a relay carries the outbox into a stream, consumers read it
 * in partitions. What is published goes through the outbox; what failed is parked in the
 * database, beside the inbox; jobs go from the outbox to their queue without a detour.
 * docs/decisions/0026.
 */
import type { Logger } from '../../base/log.ts'
import type { MetricRegistry } from '../../base/metric-registry.ts'
import { every, monotonicMs, sleep } from '../../base/time.ts'
import type { Bus, Subscribed, Subscription } from '../../ports/bus.ts'
import type { Position } from '../../ports/database.ts'
import type { Outbox, OutboxPlace } from '../../ports/outbox.ts'
import { NatsLink } from './connection.ts'
import { EventConsumer } from './event-consumer.ts'
import { EventRelay } from './event-relay.ts'
import { eventStreams, firstPlace, laneOf } from './event-stream.ts'
import { ProgressBook } from './progress-book.ts'
import type { RelayRecord } from './progress-book.ts'

export interface NatsBusOptions {
  readonly url: string
  readonly prefix: string
  readonly replicas: number
  /** How many processes may work for one consumer at a time. Another number fills a new stream. */
  readonly partitions: number
  /** A stream of this size takes no more until consumers have come along. */
  readonly bytesMax: number
  readonly outbox: Outbox
  /** The same log, read in the database: for jobs, dead letters and what waits. */
  readonly log: Bus
  readonly logger: Logger
  readonly metrics?: MetricRegistry | null
}

const lsnMax = 0xffff_ffff_ffff_ffffn
const balanceMs = 500
const pollMs = 250
/** So long who waits believes that nothing has happened, when nothing is heard. */
const patienceMs = 250
/** What was learnt longer ago does not count, as with the bus in the database. */
const freshMs = 1_000
const leftMs = (deadlineMs: number): number => Math.max(0, deadlineMs - monotonicMs())

export const openNatsBus = (options: NatsBusOptions): Bus => new NatsBus(options)

class NatsBus implements Bus {
  readonly #options: NatsBusOptions
  readonly #link: NatsLink
  readonly #streams
  readonly #book: ProgressBook
  readonly #subscriptions = new Map<string, { readonly names: readonly string[]; readonly parts: readonly EventConsumer[] }>()
  /** Per consumer a position of which it is known to have handled everything. */
  readonly #shown = new Map<string, { position: Position; atMs: number }>()
  #relay: Promise<Subscribed> | undefined
  #asking: Promise<RelayRecord | null> | undefined
  #closing: Promise<void> | undefined
  #stopBalancing = () => {}

  constructor(options: NatsBusOptions) {
    const { url, prefix, replicas, partitions, bytesMax, logger: log } = options
    this.#options = options
    this.#link = new NatsLink({ url, prefix, replicas, log })
    this.#streams = eventStreams(prefix, partitions, bytesMax)
    this.#book = new ProgressBook(this.#link, this.#streams, log)
    this.#book.onReplayed = consumer => this.#reload(consumer)
  }

  /** Does not wait for the broker: commands go on without it. */
  async open(): Promise<void> {
    const { log, outbox } = this.#options
    await Promise.all([log.open(), outbox.open()])
    this.#book.start()
    this.#stopBalancing = every(balanceMs, () => this.#balance())
  }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      this.#stopBalancing()
      await Promise.all([...this.#subscriptions.values()].flatMap(one => one.parts).map(part => part.stop()))
      await (await this.#relay)?.stop()
      await this.#book.stop()
      await Promise.all([this.#link.close(), this.#options.outbox.close(), this.#options.log.close()])
    })()
  }

  publish(messages: Parameters<Bus['publish']>[0]): Promise<void> { return this.#options.log.publish(messages) }

  async subscribe(subscription: Subscription): Promise<Subscribed> {
    const { consumer, names } = subscription
    const { outbox, log, logger, metrics = null } = this.#options
    if (names === 'jobs') return log.subscribe(subscription)
    if (this.#subscriptions.has(consumer)) throw new Error(`the consumer '${consumer}' is subscribed in this process already`)
    this.#relay ??= outbox.relay(new EventRelay(this.#link, this.#streams, this.#book, outbox, logger))
    const led = () => parts.filter(part => part.leading).length
    const parts: EventConsumer[] = []
    for (let partition = 0; partition < this.#streams.partitions; partition++) {
      parts.push(new EventConsumer({ link: this.#link, streams: this.#streams, book: this.#book, parking: outbox.parking({ consumer, index: partition, count: this.#streams.partitions }), noted: () => this.#notedOf(consumer), subscription, partition, log: logger, metrics, led }))
    }
    this.#subscriptions.set(consumer, { names, parts })
    this.#book.want(consumer, true)
    return {
      stop: async () => {
        this.#book.want(consumer, false)
        await Promise.all(parts.map(part => part.stop()))
        this.#subscriptions.delete(consumer)
      },
    }
  }

  async caughtUp(consumer: string, timeoutMs: number, position?: Position): Promise<boolean> {
    const deadlineMs = monotonicMs() + timeoutMs
    const lsn = position?.lsn ?? lsnMax
    if (position && this.#shows(consumer, position)) return true
    const startedAtMs = monotonicMs()
    const names = await this.#namesOf(consumer, deadlineMs)
    if (!names || !await this.#options.outbox.carried(names, leftMs(deadlineMs), position)) return false
    let relay = await this.#relayNow(deadlineMs)
    for (let askMs = monotonicMs() + patienceMs; !relay || !this.#handled(consumer, names, relay, lsn);) {
      if (monotonicMs() >= deadlineMs) return false
      await this.#book.changed(Math.min(pollMs, leftMs(deadlineMs)))
      relay ??= await this.#relayNow(deadlineMs)
      if (monotonicMs() < askMs) continue
      await Promise.race([this.#book.refresh(consumer).catch(() => {}), sleep(leftMs(deadlineMs))])
      askMs = monotonicMs() + patienceMs
    }
    if (position) this.#shown.set(consumer, { position, atMs: startedAtMs })
    return true
  }

  depth(consumer: string): ReturnType<Bus['depth']> { return this.#options.log.depth(consumer) }

  deadLetters(consumer: string, limit: number): ReturnType<Bus['deadLetters']> { return this.#options.log.deadLetters(consumer, limit) }

  async replay(consumer: string, messageId: string): Promise<boolean> {
    const found = await this.#options.log.replay(consumer, messageId)
    this.#reload(consumer)
    // Who leads it may be another process; it looks now and then by itself.
    if (found) await this.#book.tellReplayed(consumer).catch(() => {})
    return found
  }

  async #notedOf(consumer: string): Promise<OutboxPlace> {
    const { tx, seq } = (await this.#options.outbox.noted()).find(one => one.consumer === consumer) ?? firstPlace
    return { tx, seq }
  }

  #reload(consumer: string): void {
    for (const part of this.#subscriptions.get(consumer)?.parts ?? []) part.reload()
  }

  #shows(consumer: string, { shard, timeline, lsn }: Position): boolean {
    const shown = this.#shown.get(consumer)
    return shown !== undefined && monotonicMs() - shown.atMs < freshMs
      && shown.position.shard === shard && shown.position.timeline === timeline && lsn <= shown.position.lsn && !this.#isHeldBack(consumer, lsn)
  }

  #recordsOf(consumer: string) {
    return Array.from({ length: this.#streams.partitions }, (_, partition) => this.#book.of(consumer, partition)?.record)
  }

  #isHeldBack(consumer: string, lsn: bigint): boolean {
    return this.#recordsOf(consumer).some(one => one?.parkedLsn && BigInt(one.parkedLsn) < lsn)
  }

  async #namesOf(consumer: string, deadlineMs: number): Promise<readonly string[] | null> {
    for (;;) {
      const names = this.#subscriptions.get(consumer)?.names ?? this.#recordsOf(consumer).find(one => one)?.names
      if (names) return names
      if (monotonicMs() >= deadlineMs) return null
      await this.#book.changed(leftMs(deadlineMs))
    }
  }

  /** Callers of the same moment share one question, which is asked after all of them called. */
  async #relayNow(deadlineMs: number): Promise<RelayRecord | null> {
    this.#asking ??= new Promise(resolve => {
      setImmediate(() => {
        this.#asking = undefined
        this.#book.readRelay().then(resolve, () => resolve(null))
      })
    })
    return await Promise.race([this.#asking, sleep(leftMs(deadlineMs))]) ?? null
  }

  #handled(consumer: string, names: readonly string[], { made, lanes }: RelayRecord, lsn: bigint): boolean {
    const isThere = this.#recordsOf(consumer).every((record, partition) => record && record.made === made
      && names.every(name => (lanes[laneOf(partition, name)] ?? 0) <= record.sequence))
    return isThere && !this.#isHeldBack(consumer, lsn)
  }

  /** A process that came later gets its share. */
  #balance(): void {
    for (const [consumer, { parts }] of this.#subscriptions) {
      const led = parts.filter(part => part.leading)
      if (led.length > this.#book.shareOf(consumer)) led.at(-1)!.release()
    }
  }
}
