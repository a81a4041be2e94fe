/**
 * The names and the form of what the bus keeps in JetStream. Events lie in one stream, in
 * the order of the outbox, under a subject per partition and event; how far each consumer
 * is in a second one, of which the newest message per subject counts.
 *
 * The number of partitions is part of the names: with another one a new stream is filled
 * from the outbox, and the inbox knows what has had its effect.
 */
import type { StreamConfig } from '@nats-io/jetstream'
import type { OutboxEntry, OutboxPlace } from '../../ports/outbox.ts'
import type { Message } from '../../ports/database.ts'

export interface EventStreams {
  readonly partitions: number
  readonly events: Partial<StreamConfig> & { readonly name: string }
  readonly progress: Partial<StreamConfig> & { readonly name: string }
  readonly everyEvent: string
  readonly everyProgress: string
  readonly relay: string
  /** Core subjects, kept by nobody: who is there, and that a dead letter is back. */
  readonly here: string
  readonly replayed: string
}

const dedupeNs = 120_000_000_000

export function eventStreams(prefix: string, partitions: number, bytesMax: number): EventStreams {
  const [events, progress] = [`${prefix}.event.${partitions}`, `${prefix}.progress.${partitions}`]
  return {
    partitions, everyEvent: `${events}.>`, everyProgress: `${progress}.>`, relay: `${progress}.relay`,
    here: `${prefix}.here.${partitions}`, replayed: `${prefix}.replayed.${partitions}`,
    // A full stream refuses: what does not fit waits in the outbox.
    events: { name: `${prefix}_events_${partitions}`, subjects: [`${events}.>`], discard: 'new', max_bytes: bytesMax, duplicate_window: dedupeNs },
    progress: { name: `${prefix}_progress_${partitions}`, subjects: [`${progress}.>`], max_msgs_per_subject: 1, discard: 'old' },
  }
}

const stem = (every: string): string => every.slice(0, -2)
const token = (name: string): string => name.replace(/[^\w.$-]/g, one => `%${one.charCodeAt(0).toString(16)}`)

export const partitionOf = ({ bucket }: Pick<Message, 'bucket'>, partitions: number): number => bucket % partitions
/** What follows the stem of an event's subject: the partition and the name. */
export const laneOf = (partition: number, name: string): string => `${partition}.${token(name)}`
export const eventSubject = (streams: EventStreams, message: Message): string => `${stem(streams.everyEvent)}.${laneOf(partitionOf(message, streams.partitions), message.name)}`
export const laneOfSubject = (streams: EventStreams, subject: string): string => subject.slice(stem(streams.everyEvent).length + 1)
export const progressSubject = (streams: EventStreams, consumer: string, partition: number): string => `${stem(streams.everyProgress)}.${laneOf(partition, consumer)}`

/** The narrowest subject of one filter that covers these names; the reader leaves the others out. */
export function filterOf(streams: EventStreams, partition: number, names: readonly string[]): string {
  const parts = [...new Set(names.map(token))].map(name => name.split('.'))
  const head = `${stem(streams.everyEvent)}.${partition}`
  if (parts.length === 1) return `${head}.${parts[0]!.join('.')}`
  const services = new Set(parts.map(([service]) => service))
  return services.size === 1 ? `${head}.${parts[0]![0]}.>` : `${head}.>`
}

/** One row of the outbox is one message, however often it is sent. */
export const messageId = ({ tx, seq }: OutboxPlace): string => `${tx}-${seq}`

export const textOf = ({ tx, seq, lsn, message }: OutboxEntry): string => JSON.stringify({ tx, seq, lsn: String(lsn), message })

export function entryIn(text: string): OutboxEntry {
  const { tx, seq, lsn, message: { id, name, key, bucket, payload, atMs, traceparent } } = JSON.parse(text) as OutboxPlace & { lsn: string; message: Message }
  return { tx, seq, lsn: BigInt(lsn), message: { id, kind: 'event', name, key, bucket, payload, atMs, traceparent, runAtMs: undefined } }
}

/** True when `one` is at or beyond `other`. */
export function reaches(one: OutboxPlace, other: OutboxPlace): boolean {
  const [a, b] = [BigInt(one.tx), BigInt(other.tx)]
  return a > b || (a === b && BigInt(one.seq) >= BigInt(other.seq))
}

export const firstPlace: OutboxPlace = { tx: '0', seq: '0' }
