/**
 * How far the relay and every consumer are, in the memory of each process: one record per
 * consumer and partition, the newest message under a subject of JetStream, watched.
 *
 * A record is also the lease of its partition: who writes it names itself as owner, and
 * every write names the revision that it follows, so that JetStream refuses one who has
 * lost it. An owner is alive while its process is heard.
 */
import type { ConsumerMessages } from '@nats-io/jetstream'
import type { Logger } from '../../base/log.ts'
import { randomHex } from '../../base/random.ts'
import { every, monotonicMs, now, sleep } from '../../base/time.ts'
import type { OutboxPlace } from '../../ports/outbox.ts'
import { codeOf, ensureStream, jsCodes } from './connection.ts'
import type { Nats, NatsLink } from './connection.ts'
import { progressSubject } from './event-stream.ts'
import type { EventStreams } from './event-stream.ts'

export interface ConsumerRecord extends OutboxPlace {
  readonly consumer: string
  readonly partition: number
  readonly names: readonly string[]
  readonly owner: string | null
  /** The making of the stream of events that `sequence` is of: one that was lost is made anew. */
  readonly made: string
  /** Everything of its own up to here is handled, or parked. */
  readonly sequence: number
  /** The least LSN of what is parked. */
  readonly parkedLsn: string | null
  readonly atMs: number
}

export interface RelayRecord extends OutboxPlace {
  readonly made: string
  /** The last sequence of each partition and name. */
  readonly lanes: Readonly<Record<string, number>>
}

export interface Known<Record> { readonly record: Record; readonly revision: number }

/** Somebody else has written it meanwhile. */
export class Overtaken extends Error {}

const beatMs = 500
const silentMs = 3_000

export class ProgressBook {
  readonly id = randomHex(8)
  readonly #link: NatsLink
  readonly #streams: EventStreams
  readonly #log: Logger
  readonly #stopping = new AbortController()
  readonly #records = new Map<string, Known<ConsumerRecord>>()
  readonly #listeners = new Set<() => void>()
  readonly #members = new Map<string, { heardAtMs: number; wants: readonly string[] }>()
  /** Since when this process has heard others without a gap. */
  #steadySinceMs = Infinity
  readonly #wants = new Set<string>()
  #relay: RelayRecord | undefined
  #ready = false
  #watching: Promise<void> | undefined
  #messages: ConsumerMessages | undefined
  #stopBeating = () => {}
  onReplayed: (consumer: string) => void = () => {}

  constructor(link: NatsLink, streams: EventStreams, log: Logger) {
    this.#link = link
    this.#streams = streams
    this.#log = log
  }

  start(): void { this.#watching ??= Promise.all([this.#watch(), this.#listen()]).then(() => {}) }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#stopBeating()
    this.#messages?.stop()
    await this.#watching
  }

  /** True once what was written before the start is known. */
  get ready(): boolean { return this.#ready }
  get relay(): RelayRecord | undefined { return this.#relay }
  get records(): readonly ConsumerRecord[] { return [...this.#records.values()].map(one => one.record) }

  of(consumer: string, partition: number): Known<ConsumerRecord> | undefined {
    return this.#records.get(progressSubject(this.#streams, consumer, partition))
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }

  /** Resolves when something has changed, or after waitMs. */
  changed(waitMs: number): Promise<void> {
    const over = new AbortController()
    const stop = this.onChange(() => over.abort())
    return sleep(waitMs, AbortSignal.any([over.signal, this.#stopping.signal])).finally(stop)
  }

  /** Rejects with Overtaken when the record is no longer the one of this revision. */
  async write(record: ConsumerRecord, revision: number): Promise<number> {
    const subject = progressSubject(this.#streams, record.consumer, record.partition)
    const { jetstream } = await this.#link.connected()
    const text = JSON.stringify(record)
    const sequence = await jetstream.publish(subject, text, { expect: { lastSubjectSequence: revision } }).then(ack => ack.seq, (error: unknown) => {
      if (codeOf(error) === jsCodes.wrongLastSequence) return this.#writtenBefore(subject, text)
      throw error
    })
    this.#learn(subject, { record, revision: sequence })
    return sequence
  }

  /** A write whose answer was lost has happened all the same. */
  async #writtenBefore(subject: string, text: string): Promise<number> {
    const { manager } = await this.#link.connected()
    const before = this.#records.get(subject)
    const found = await manager.streams.getMessage(this.#streams.progress.name, { last_by_subj: subject })
    // What was heard meanwhile is newer, and is heard once: put back, a partition that was given away would stay its last owner's.
    if (this.#records.get(subject) === before) {
      if (found) this.#records.set(subject, { record: found.json<ConsumerRecord>(), revision: found.seq })
      else this.#records.delete(subject)
    }
    if (found?.string() !== text) throw new Overtaken(subject)
    return found.seq
  }

  /** Asks for the records of a consumer: what is heard of them may be late, and what a subscription has lost comes with the next one only. */
  async refresh(consumer: string): Promise<void> {
    const { manager } = await this.#link.connected()
    await Promise.all(Array.from({ length: this.#streams.partitions }, async (_, partition) => {
      const subject = progressSubject(this.#streams, consumer, partition)
      const before = this.#records.get(subject)
      const found = await manager.streams.getMessage(this.#streams.progress.name, { last_by_subj: subject })
      if (!found || found.seq === before?.revision || this.#records.get(subject) !== before) return
      this.#learn(subject, { record: found.json<ConsumerRecord>(), revision: found.seq })
    }))
  }

  async writeRelay(record: RelayRecord): Promise<void> {
    const { jetstream } = await this.#link.connected()
    await jetstream.publish(this.#streams.relay, JSON.stringify(record))
    this.#relay = record
  }

  /** The relay's record as it is now. */
  async readRelay(): Promise<RelayRecord | null> {
    const { manager } = await this.#link.connected()
    const found = await manager.streams.getMessage(this.#streams.progress.name, { last_by_subj: this.#streams.relay })
    return found && JSON.parse(found.string()) as RelayRecord
  }

  /** From now on this process would take partitions of the consumer. */
  want(consumer: string, wanted: boolean): void {
    if (wanted) this.#wants.add(consumer)
    else this.#wants.delete(consumer)
    void this.#beat()
  }

  /** How many partitions of the consumer are this process's share. */
  shareOf(consumer: string): number {
    const since = monotonicMs() - silentMs
    const others = [...this.#members].filter(([id, { heardAtMs, wants }]) => id !== this.id && heardAtMs > since && wants.includes(consumer)).length
    return Math.ceil(this.#streams.partitions / (others + 1))
  }

  isAlive(owner: string): boolean {
    if (owner === this.id) return true
    const heardAtMs = this.#members.get(owner)?.heardAtMs ?? 0
    return monotonicMs() - Math.max(heardAtMs, this.#steadySinceMs) < silentMs
  }

  async tellReplayed(consumer: string): Promise<void> {
    const { connection } = await this.#link.connected()
    connection.publish(this.#streams.replayed, consumer)
  }

  #learn(subject: string, known: Known<ConsumerRecord>): void {
    const before = this.#records.get(subject)
    if (before && before.revision >= known.revision && before.record.made === known.record.made) return
    this.#records.set(subject, known)
    for (const listener of [...this.#listeners]) listener()
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        const nats = await this.#link.connected()
        await ensureStream(nats, this.#streams.progress, signal)
        const consumer = await nats.jetstream.consumers.get(this.#streams.progress.name, { filter_subjects: this.#streams.everyProgress, deliver_policy: 'last_per_subject' })
        const { num_pending: pending } = await consumer.info(true)
        if (pending === 0) this.#begin()
        this.#messages = await consumer.consume({ max_messages: 500, expires: 5_000 })
        if (signal.aborted) this.#messages.stop()
        for await (const message of this.#messages) {
          if (message.subject === this.#streams.relay) this.#relay = message.json<RelayRecord>()
          else this.#learn(message.subject, { record: message.json<ConsumerRecord>(), revision: message.seq })
          if (message.info.pending === 0) this.#begin()
          for (const listener of [...this.#listeners]) listener()
        }
      } catch (error) {
        if (!signal.aborted) this.#log.debug({ err: error }, 'the progress of consumers is not heard for now')
      }
      await sleep(200, signal)
    }
  }

  #begin(): void {
    this.#ready = true
    for (const listener of [...this.#listeners]) listener()
  }

  async #listen(): Promise<void> {
    const { signal } = this.#stopping
    let nats: Nats | undefined
    while (!nats && !signal.aborted) nats = await this.#link.connected().catch(() => undefined)
    if (!nats || signal.aborted) return
    nats.connection.subscribe(this.#streams.replayed, { callback: (_, message) => this.onReplayed(message.string()) })
    nats.connection.subscribe(this.#streams.here, { callback: (_, message) => this.#hear(message.json()) })
    this.#stopBeating = every(beatMs, () => this.#beat())
    await this.#beat()
  }

  #hear({ id, wants }: { id: string; wants: readonly string[] }): void {
    const heardAtMs = monotonicMs()
    // Its own is the proof that it hears: after a gap it knows nothing of the others for a while.
    if (id === this.id && heardAtMs - (this.#members.get(id)?.heardAtMs ?? -Infinity) > silentMs / 2) this.#steadySinceMs = heardAtMs
    this.#members.set(id, { heardAtMs, wants })
  }

  async #beat(): Promise<void> {
    const nats = await this.#link.connected(0).catch(() => undefined)
    if (this.#stopping.signal.aborted || nats?.connection.isClosed() !== false) return
    nats.connection.publish(this.#streams.here, JSON.stringify({ id: this.id, wants: [...this.#wants] }))
  }
}

export const recordOf = (consumer: string, partition: number, names: readonly string[], made: string): ConsumerRecord =>
  ({ consumer, partition, names, made, owner: null, sequence: 0, tx: '0', seq: '0', parkedLsn: null, atMs: now() })
