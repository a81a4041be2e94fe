/** What the checks of the bus share: messages to publish, and a consumer that writes down what it gets. */
import { bucketOf, newId } from '../base/id.ts'
import { monotonicMs, now, sleep } from '../base/time.ts'
import type { Bus, Subscribed, Subscription } from '../ports/bus.ts'
import type { Message } from '../ports/database.ts'

export const name = 'shop.ordered'

export function message(key: string, payload: unknown = {}, more: Partial<Message> = {}): Message {
  const bucket = bucketOf(key)
  return { id: newId(bucket), kind: 'event', name, key, bucket, payload, atMs: now(), traceparent: undefined, runAtMs: undefined, ...more }
}
export const many = (count: number, key = 'k'): Message[] => Array.from({ length: count }, (_, index) => message(key, { n: index }))
export const ids = (messages: readonly Message[]): string[] => messages.map(one => one.id)

export async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  for (const endMs = monotonicMs() + timeoutMs; !await condition(); await sleep(5)) {
    if (monotonicMs() > endMs) throw new Error(`not within ${timeoutMs} ms: ${what}`)
  }
}

export interface Recorder { readonly got: Message[]; readonly batches: (readonly Message[])[]; readonly subscribed: Subscribed }

export async function record(bus: Bus, handle: Subscription['handle'] = async () => {}, more: Partial<Subscription> = {}): Promise<Recorder> {
  const got: Message[] = []
  const batches: (readonly Message[])[] = []
  const subscribed = await bus.subscribe({
    consumer: 'test', names: [name], attemptsMax: 3, backoff: { baseMs: 10, capMs: 40 }, ...more,
    handle: async batch => { batches.push(batch); await handle(batch); got.push(...batch) },
  })
  return { got, batches, subscribed }
}

export const numbersOf = (messages: readonly Message[], key: string): number[] => messages.filter(one => one.key === key).map(one => (one.payload as { n: number }).n)
