/**
 * Delivers messages to a subscription: those of one batch commit together, and with them how
 * far the consumer is, since a commit and a row of the inbox for each would cost more than
 * what most handlers do. Without an advance, and for handlers that are slow or call others,
 * there are a few transactions at the same time, with the inbox. When one fails all of its
 * transaction are rolled back, and the bus brings them one by one.
 */
import { isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Subscription } from '../model/event.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Advance, Message } from '../ports/database.ts'
import type { Surroundings } from './execution.ts'
import type { Span } from './span.ts'
import { callers, commitTogether, togetherMax } from './shared-transaction.ts'

/** How many transactions run at the same time. */
const lanesMax = 4
/** So many messages commit with an advance: their locks are held until the last handler has ended. */
export const deliveredMax = 128
/** Subscriptions for which so many were too many. */
const slow = new WeakSet<Subscription>()

export async function deliver(surroundings: Surroundings, intent: Subscription, batch: readonly Message[], advance?: Advance | null): Promise<'advanced' | void> {
  if (advance && !callers.has(intent) && !slow.has(intent)) {
    await deliverTogether(surroundings, intent, batch, advance).catch((error: unknown) => {
      if (isTenfoldError(error) && error.code === 'DEADLINE_EXCEEDED') slow.add(intent)
      throw error
    })
    return 'advanced'
  }
  const size = callers.has(intent) ? 1 : togetherMax
  const lanes = lanesOf(batch, Math.min(lanesMax, Math.ceil(batch.length / size)))
  const results = await Promise.allSettled(lanes.map(async lane => {
    for (let at = 0; at < lane.length; at += size) await deliverTogether(surroundings, intent, lane.slice(at, at + size), null)
  }))
  const failed = results.find(result => result.status === 'rejected')
  if (failed) throw failed.reason
}

/** All messages of one key are in one lane, in their order. */
function lanesOf(batch: readonly Message[], count: number): Message[][] {
  const lanes = Array.from({ length: count }, (): Message[] => [])
  const laneOf = new Map<string, Message[]>()
  for (const message of batch) {
    let lane = laneOf.get(message.key)
    if (!lane) laneOf.set(message.key, lane = lanes[laneOf.size % count]!)
    lane.push(message)
  }
  return lanes.filter(lane => lane.length > 0)
}

function deliverTogether(surroundings: Surroundings, intent: Subscription, messages: readonly Message[], advance: Advance | null): Promise<void> {
  const span = surroundings.tracer.consume('handler', intent.name, messages.map(one => one.traceparent))
  span.facts = { from: messages[0]!.name, messages: messages.length, ...messages.length === 1 ? { messageId: messages[0]!.id } : {} }
  return observed(surroundings, span, () => runTogether(surroundings, intent, messages, advance, span))
}

async function runTogether(surroundings: Surroundings, intent: Subscription, messages: readonly Message[], advance: Advance | null, span: Span): Promise<void> {
  const key = intent.definition.key as ((payload: unknown) => Key) | undefined
  await commitTogether(surroundings, intent, messages.map(message => (
    { message, input: message, target: key ? routed(key(message.payload)) : { key: message.key, bucket: message.bucket } })), advance, span, limits.commandDeadlineMs)
}

/** Runs what was delivered: its span ends with it, and at debug the log has a line. */
export async function observed<T>({ tracer, log }: Pick<Surroundings, 'tracer' | 'log'>, span: Span, work: () => Promise<T>): Promise<T> {
  const value = await tracer.run(span, work)
  if (log.isLevelEnabled('debug')) log.debug({ intent: span.about, traceId: span.trace.traceId, spanId: span.id }, `${span.what} done`)
  return value
}
