/**
 * Invalidation: the tags of answers that are no longer true reach every cache. Twice, in two
 * ways: at once by the broadcast, before the command is answered; and surely through the
 * outbox, where the tags committed with the command, so that a process that dies in between
 * leaves no cache wrong. A cache that may have missed something forgets everything.
 */
import { newId } from '../base/id.ts'
import { randomHex } from '../base/random.ts'
import { now } from '../base/time.ts'
import type { Broadcast } from '../ports/broadcast.ts'
import type { Cache } from '../ports/cache.ts'
import type { Message } from '../ports/database.ts'
import type { Logger } from '../base/log.ts'

/** The name under which a service's tags travel in the outbox; no event of an application has such a one. */
export const invalidatedNameOf = (service: string): string => `${service}.$invalidated`
const topic = 'tenfold.tags'
/** One text for more tags than a few broadcasts carry: everything is forgotten. */
const everything = '*'
const textsMax = 8

export interface InvalidationOptions {
  readonly cache: Cache
  readonly broadcast: Broadcast
  readonly log: Logger
}

export class Invalidation {
  readonly #options: InvalidationOptions
  /** Tells this process's own texts from those of others. */
  readonly #sender = randomHex(6)

  constructor(options: InvalidationOptions) {
    this.#options = options
  }

  /** Starts to listen; the returned function ends it. */
  listen(): () => void {
    const { cache, broadcast, log } = this.#options
    const failed = (error: unknown) => log.error({ err: error }, 'the cache could not forget')
    return broadcast.listen(topic, {
      gap: () => { cache.clear().catch(failed) },
      heard: text => {
        const at = text.indexOf(' ')
        if (text.slice(0, at) === this.#sender) return
        const tags = text.slice(at + 1)
        ;(tags === everything ? cache.clear() : cache.invalidate(JSON.parse(tags) as string[])).catch(failed)
      },
    })
  }

  /** False while invalidations may be missed: nothing may be taken from a cache then. */
  get isCoherent(): boolean { return this.#options.broadcast.hearing }

  /** Resolves when this process has forgotten and the engine has the tags for the others. Never rejects: what has committed has committed, and the outbox repeats it. */
  async spread(tags: readonly string[]): Promise<void> {
    const { cache, broadcast, log } = this.#options
    const unique = [...new Set(tags)]
    await cache.invalidate(unique)
    const texts = textsOf(unique, broadcast.bytesMax - topic.length - 64)
    await Promise.all(texts.map(text => broadcast.send(topic, `${this.#sender} ${text}`)))
      .catch((error: unknown) => log.debug({ err: error }, 'tags could not be sent at once; the outbox will'))
  }
}

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
