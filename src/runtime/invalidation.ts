/**
 * Invalidation: the tags of answers that are no longer true reach every cache. Twice, in two
 * ways: at once by the broadcast, before the command is answered; and surely through the
 * outbox, where the tags committed with the command, so that a process that dies in between
 * leaves no cache wrong. A cache that may have missed something forgets everything.
 *
 * What commits soon after another goes with the next broadcast, and is not waited for: each
 * wakes every process. Sessions do not depend on it, they have their tokens.
 *
 * A broadcast names the messages of the outbox whose tags it carries. Who has heard it knows
 * that the engine gave it to everybody who listens, and need not say it again: what was read
 * anew meanwhile stays.
 */
import { Batcher } from '../base/batcher.ts'
import { newId } from '../base/id.ts'
import { randomHex } from '../base/random.ts'
import { now } from '../base/time.ts'
import type { Broadcast } from '../ports/broadcast.ts'
import type { Cache } from '../ports/cache.ts'
import type { Message } from '../ports/database.ts'
import type { Logger } from '../base/log.ts'
import type { SharedTier } from './shared-tier.ts'

/** The name under which a service's tags travel in the outbox; no event of an application has such a one. */
export const invalidatedNameOf = (service: string): string => `${service}.$invalidated`
const topic = 'tenfold.tags'
/** The words of a broadcast: tags, and messages of the outbox that named them. */
const tagMark = 't'
const messageMark = 'm'
/** A tag that the cache which processes share has not been told. */
const untoldMark = 'u'
/** One text for more tags than a few broadcasts carry: everything is forgotten. */
const everything = '*'
const textsMax = 8
/** So long after a broadcast the next one begins at the earliest. */
const gapMsDefault = 40
/** How many messages are remembered as heard: more than are committed while one waits in the outbox. */
const heardMax = 20_000

export interface InvalidationOptions {
  readonly cache: Cache
  /** Null where no other process shares what is kept. */
  readonly shared?: SharedTier | null
  readonly broadcast: Broadcast
  readonly log: Logger
  /** 0: every command waits until its tags are with the engine. Default 40. */
  readonly gapMs?: number
  /** Called before this process forgets something. */
  readonly onForget?: () => void
}

export class Invalidation {
  readonly #options: InvalidationOptions
  /** Tells this process's own texts from those of others. */
  readonly #sender = randomHex(6)
  /** Messages of the outbox, oldest first. */
  readonly #heard = new Set<string>()
  readonly #outgoing: Batcher

  constructor(options: InvalidationOptions) {
    this.#options = options
    this.#outgoing = new Batcher(words => this.#send(words), options.gapMs ?? gapMsDefault)
  }

  /** Starts to listen; the returned function ends it. */
  listen(): () => void {
    const { cache, broadcast, log, onForget } = this.#options
    const failed = (error: unknown) => log.error({ err: error }, 'the cache could not forget')
    return broadcast.listen(topic, {
      gap: () => { onForget?.(); cache.clear().catch(failed) },
      heard: text => {
        const at = text.indexOf(' ')
        const said = text.slice(at + 1)
        const words = said === everything ? [] : JSON.parse(said) as string[]
        for (const word of words) if (word.startsWith(messageMark)) this.#remember(word.slice(messageMark.length))
        if (text.slice(0, at) === this.#sender) return
        onForget?.()
        const untold = tagsOf(words, untoldMark)
        if (untold.length > 0) this.#forget(untold).catch(failed)
        ;(said === everything ? cache.clear() : cache.invalidate([...tagsOf(words), ...untold])).catch(failed)
      },
    })
  }

  #remember(id: string): void {
    this.#heard.add(id)
    if (this.#heard.size > heardMax) for (const oldest of this.#heard) { this.#heard.delete(oldest); break }
  }

  /** False while invalidations may be missed: nothing may be taken from a cache then. */
  get isCoherent(): boolean { return this.#options.broadcast.hearing }

  /** Resolves when this process has forgotten and the engine has the tags for the others, or will have them in a moment. Never rejects: what has committed has committed, and the outbox repeats it. */
  async spread(tags: readonly string[], messageIds: readonly string[]): Promise<void> {
    const { log, onForget } = this.#options
    onForget?.()
    const isTold = await this.#forget(tags)
    const { isIdle } = this.#outgoing
    // Without the names of the messages, the outbox says it again.
    const sent = this.#outgoing.add(isTold ? [...tags.map(tag => tagMark + tag), ...messageIds.map(id => messageMark + id)] : tags.map(tag => untoldMark + tag))
      .catch((error: unknown) => log.debug({ err: error }, 'tags could not be sent at once; the outbox will'))
    if (isIdle) await sent
  }

  /** The shared one first: else what is taken from it meanwhile would stay here. */
  async #forget(tags: readonly string[]): Promise<boolean> {
    const { cache, shared } = this.#options
    const isTold = !shared || await shared.forget(tags)
    await cache.invalidate(tags)
    return isTold
  }

  /** Says again what the outbox brings, unless it has been heard. */
  async repeat(messages: readonly Message[]): Promise<void> {
    const unheard = messages.filter(({ id }) => !this.#heard.has(id))
    if (unheard.length > 0) await this.spread(tagsIn(unheard), unheard.map(({ id }) => id))
  }

  async #send(words: readonly string[]): Promise<void> {
    const { broadcast } = this.#options
    const bytesMax = broadcast.bytesMax - topic.length - 64
    const whole = JSON.stringify(words)
    // In parts it names no messages: nobody could tell whether all parts were heard.
    const texts = Buffer.byteLength(whole) <= bytesMax ? [whole] : textsOf(words.filter(word => !word.startsWith(messageMark)), bytesMax)
    await Promise.all(texts.map(text => broadcast.send(topic, `${this.#sender} ${text}`)))
  }
}

const tagsOf = (words: readonly string[], mark = tagMark): string[] => words.filter(word => word.startsWith(mark)).map(word => word.slice(mark.length))

/** The tags of messages that the outbox brought, each once. */
export const tagsIn = (messages: readonly Message[]): string[] => [...new Set(messages.flatMap(({ payload }) => (payload as { readonly tags: string[] }).tags))]

/** What the outbox carries. Its key spreads the tags of one bucket in order; order does not matter to anybody. */
export function invalidatedMessage(service: string, bucket: number, tags: readonly string[], traceparent?: string): Message {
  return { id: newId(bucket), kind: 'event', name: invalidatedNameOf(service), key: String(bucket), bucket, payload: { tags }, atMs: now(), traceparent }
}

function textsOf(tags: readonly string[], bytesMax: number): string[] {
  const whole = JSON.stringify(tags)
  if (Buffer.byteLength(whole) <= bytesMax) return [whole]
  if (tags.length === 1 || Buffer.byteLength(whole) > bytesMax * textsMax) return [everything]
  const half = tags.length >> 1
  return [...textsOf(tags.slice(0, half), bytesMax), ...textsOf(tags.slice(half), bytesMax)]
}
