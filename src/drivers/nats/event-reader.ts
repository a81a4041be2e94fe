/** Reads the stream of events in its order, from a sequence on, through an ordered consumer that it makes anew when it must. */
import type { ConsumerMessages } from '@nats-io/jetstream'
import type { Logger } from '../../base/log.ts'
import { sleep } from '../../base/time.ts'
import type { OutboxEntry } from '../../ports/outbox.ts'
import type { NatsLink } from './connection.ts'
import { entryIn } from './event-stream.ts'

export interface StreamEntry extends OutboxEntry { readonly sequence: number }

/** So many are read ahead of the consumer, at most. */
const aheadMax = 500

export class EventReader {
  readonly #stopping = new AbortController()
  readonly #buffer: StreamEntry[] = []
  readonly #done: Promise<void>
  #messages: ConsumerMessages | undefined
  #arrived = () => {}
  #taken = () => {}

  /** `filter`: one subject, with wildcards. */
  constructor(link: NatsLink, stream: string, filter: string, from: number, log: Logger) {
    this.#done = this.#read(link, stream, filter, from, log)
  }

  /** Up to `max` of what follows; empty when nothing comes within waitMs or the signal aborts. */
  async take(max: number, waitMs: number, signal: AbortSignal): Promise<StreamEntry[]> {
    if (this.#buffer.length === 0) {
      const arrival = new AbortController()
      this.#arrived = () => arrival.abort()
      await sleep(waitMs, AbortSignal.any([arrival.signal, signal]))
    }
    const entries = this.#buffer.splice(0, max)
    this.#taken()
    return entries
  }

  get waiting(): number { return this.#buffer.length }

  async close(): Promise<void> {
    this.#stopping.abort()
    this.#messages?.stop()
    this.#taken()
    await this.#done
  }

  async #read(link: NatsLink, stream: string, filter: string, from: number, log: Logger): Promise<void> {
    const { signal } = this.#stopping
    for (let next = from; !signal.aborted;) {
      try {
        const { jetstream } = await link.connected()
        const consumer = await jetstream.consumers.get(stream, { filter_subjects: filter, deliver_policy: 'by_start_sequence', opt_start_seq: next })
        this.#messages = await consumer.consume({ max_messages: aheadMax, expires: 5_000 })
        if (signal.aborted) this.#messages.stop()
        for await (const message of this.#messages) {
          this.#buffer.push({ ...entryIn(message.string()), sequence: message.seq })
          next = message.seq + 1
          this.#arrived()
          if (this.#buffer.length >= aheadMax && !signal.aborted) await new Promise<void>(resolve => { this.#taken = resolve })
        }
      } catch (error) {
        if (!signal.aborted) log.debug({ err: error }, 'the events are not read for now')
      }
      await sleep(200, signal)
    }
  }
}
