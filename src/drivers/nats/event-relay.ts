/**
 * Carries the outbox into the stream of events. Every message names the sequence that it
 * follows, so that the stream has the order of the outbox without gaps: when one is refused,
 * all behind it are. Then the last message of the stream tells from where to go on; so does
 * it when a server has lost the end of its log, or a relay that was thought dead has gone on.
 */
import { backoffMs } from '../../base/backoff.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { every, monotonicMs, now, sleep } from '../../base/time.ts'
import type { Carrier, ConsumerPlace, Outbox, OutboxEntry, OutboxPlace } from '../../ports/outbox.ts'
import { ensureStream } from './connection.ts'
import type { NatsLink } from './connection.ts'
import { entryIn, eventSubject, firstPlace, laneOf, laneOfSubject, messageId, partitionOf, reaches, textOf } from './event-stream.ts'
import type { EventStreams } from './event-stream.ts'
import type { ConsumerRecord, ProgressBook } from './progress-book.ts'

/** As many are on their way at a time. */
const flightMax = 128
const flightBytesMax = 4 * 1_048_576
const retry = { baseMs: 100, capMs: 2_000 }
const warnMs = 10_000
const noteMs = 1_000
const pruneMs = 60_000
/** A consumer that nobody has led for so long does not keep messages from being removed. */
const forgottenMs = limits.inboxRetentionMs

export class EventRelay implements Carrier {
  readonly #link: NatsLink
  readonly #streams: EventStreams
  readonly #book: ProgressBook
  readonly #outbox: Outbox
  readonly #log: Logger
  #made = ''
  #sequence = 0
  #place: OutboxPlace = firstPlace
  #lanes: Record<string, number> = {}
  #warnedAtMs = -Infinity

  constructor(link: NatsLink, streams: EventStreams, book: ProgressBook, outbox: Outbox, log: Logger) {
    this.#link = link
    this.#streams = streams
    this.#book = book
    this.#outbox = outbox
    this.#log = log
  }

  async begin(signal: AbortSignal): Promise<OutboxPlace | null> {
    const place = await this.#insist(() => this.#look(signal), signal)
    const stops = [every(noteMs, () => this.#note()), every(pruneMs, () => this.#prune(false))]
    signal.addEventListener('abort', () => stops.forEach(stop => stop()), { once: true })
    return place
  }

  async carry(entries: readonly OutboxEntry[], signal: AbortSignal): Promise<void> {
    let rest = entries
    while (rest.length > 0) {
      const flight = flightOf(rest)
      const sent = await this.#send(flight)
      rest = rest.slice(sent)
      if (sent === flight.length) continue
      const had = this.#place
      await this.#insist(() => this.#look(signal), signal)
      // The relay begins again from where the stream is now.
      if (!reaches(this.#place, had)) throw new Error('the broker has lost events that it had: they are sent again')
      rest = rest.filter(entry => !reaches(this.#place, entry))
    }
    await this.#insist(() => this.#tell(), signal)
  }

  /** How many of them the stream has now, in order; the first refusal ends it. */
  async #send(flight: readonly OutboxEntry[]): Promise<number> {
    const { jetstream } = await this.#link.connected().catch(() => ({ jetstream: null }))
    if (!jetstream) return 0
    const answers = await Promise.allSettled(flight.map((entry, index) =>
      jetstream.publish(eventSubject(this.#streams, entry.message), textOf(entry), { msgID: messageId(entry), expect: { lastSequence: this.#sequence + index } })))
    const failed = answers.findIndex(one => one.status === 'rejected')
    const sent = failed < 0 ? flight.length : failed
    for (let index = 0; index < sent; index++) {
      const entry = flight[index]!
      this.#sequence = (answers[index] as PromiseFulfilledResult<{ seq: number }>).value.seq
      this.#place = { tx: entry.tx, seq: entry.seq }
      this.#lanes[laneOf(partitionOf(entry.message, this.#streams.partitions), entry.message.name)] = this.#sequence
    }
    if (failed >= 0) await this.#onRefusal((answers[failed] as PromiseRejectedResult).reason)
    return sent
  }

  async #onRefusal(error: unknown): Promise<void> {
    this.#warn(error)
    if (/maximum (bytes|messages) exceeded/.test(String(error))) await this.#prune(true)
  }

  #warn(error: unknown): void {
    if (monotonicMs() - this.#warnedAtMs < warnMs) return
    this.#warnedAtMs = monotonicMs()
    this.#log.warn({ err: error }, 'NATS does not take events now; they wait in the outbox')
  }

  /** Until it works or the signal aborts. */
  async #insist<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted()
      try { return await work() } catch (error) {
        signal.throwIfAborted()
        if (error instanceof TypeError) throw error
        this.#warn(error)
        await sleep(backoffMs(retry, Math.min(attempt, 6)), signal)
      }
    }
  }

  /** Where the stream stands: what it has is carried, what it has lost is not. */
  async #look(signal: AbortSignal): Promise<OutboxPlace> {
    const nats = await this.#link.connected()
    await ensureStream(nats, this.#streams.events, signal)
    await ensureStream(nats, this.#streams.progress, signal)
    const { name } = this.#streams.events
    const { created, state } = await nats.manager.streams.info(name, { subjects_filter: '>' })
    const last = state.messages === 0 ? null : await nats.manager.streams.getMessage(name, { last_by_subj: this.#streams.everyEvent })
    this.#made = String(created)
    this.#sequence = last?.seq ?? state.last_seq
    const { tx, seq } = last ? entryIn(last.string()) : await this.#least()
    this.#place = { tx, seq }
    const lanes = await Promise.all(Object.keys(state.subjects ?? {}).map(async subject =>
      [laneOfSubject(this.#streams, subject), (await nats.manager.streams.getMessage(name, { last_by_subj: subject }))?.seq ?? 0] as const))
    this.#lanes = Object.fromEntries(lanes)
    await this.#tell()
    return this.#place
  }

  /** A new stream needs what some consumer has not handled, on whatever bus it was before. */
  async #least(): Promise<OutboxPlace> {
    const places = await this.#outbox.noted()
    return places.length === 0 ? firstPlace : places.reduce((least, one) => reaches(least, one) ? one : least)
  }

  #tell(): Promise<void> {
    return this.#book.writeRelay({ ...this.#place, made: this.#made, lanes: { ...this.#lanes } })
  }

  /** Of each consumer the least of its partitions; one for which nothing waits is as far as the relay. */
  async #note(): Promise<void> {
    const places = this.#consumers().map(({ consumer, names, behind }): ConsumerPlace => {
      let { tx, seq } = this.#place
      for (const one of behind) {
        const place = one ?? firstPlace
        if (reaches({ tx, seq }, place)) ({ tx, seq } = place)
      }
      return { consumer, names, tx, seq }
    })
    await this.#outbox.note(places).catch((error: unknown) => this.#log.debug({ err: error }, 'the places of consumers could not be written down'))
  }

  /** Each with its partitions for which something waits: null is one that nobody has led yet. */
  #consumers(): { consumer: string; names: readonly string[]; behind: (ConsumerRecord | null)[] }[] {
    const lived = this.#book.records.filter(one => now() - one.atMs < forgottenMs)
    return [...Map.groupBy(lived, one => one.consumer).values()].map(records => {
      const { consumer, names } = records[0]!
      const all = Array.from({ length: this.#streams.partitions }, (_, partition) => records.find(one => one.partition === partition && one.made === this.#made) ?? null)
      return { consumer, names, behind: all.filter((one, partition) => (one?.sequence ?? 0) < this.#lastOf(names, partition)) }
    })
  }

  #lastOf(names: readonly string[], partition: number): number {
    return Math.max(0, ...names.map(name => this.#lanes[laneOf(partition, name)] ?? 0))
  }

  /** Removes what every consumer has handled: what is old, or of a stream that is more than half full, or full, whatever there is. */
  async #prune(full: boolean): Promise<void> {
    try {
      const { manager } = await this.#link.connected()
      const { name, max_bytes: bytesMax = -1 } = this.#streams.events
      const { state } = await manager.streams.info(name)
      let upTo = Math.min(this.#sequence, ...this.#consumers().flatMap(one => one.behind).map(one => one?.sequence ?? 0))
      if (!full && !(bytesMax > 0 && state.bytes > bytesMax / 2)) upTo = Math.min(upTo, await this.#oldBefore())
      // The last one stays: it tells where the stream is.
      upTo = Math.min(upTo, state.last_seq - 1)
      if (upTo >= state.first_seq) await manager.streams.purge(name, { seq: upTo + 1 })
    } catch (error) {
      this.#log.debug({ err: error }, 'the stream of events could not be pruned')
    }
  }

  /** The sequence before the first message that is kept for its age. */
  async #oldBefore(): Promise<number> {
    const { manager } = await this.#link.connected()
    const { name } = this.#streams.events
    const probe = await manager.consumers.add(name, { deliver_policy: 'by_start_time', opt_start_time: new Date(now() - limits.outboxRetentionMs).toISOString(), ack_policy: 'none', inactive_threshold: 5_000_000_000 })
    await manager.consumers.delete(name, probe.name).catch(() => {})
    return probe.delivered.stream_seq
  }
}

function flightOf(entries: readonly OutboxEntry[]): readonly OutboxEntry[] {
  let bytes = 0
  const end = entries.findIndex((entry, index) => index >= flightMax || (bytes += JSON.stringify(entry.message.payload)?.length ?? 0) > flightBytesMax)
  return end < 0 ? entries : entries.slice(0, Math.max(1, end))
}
