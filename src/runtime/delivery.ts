/**
 * Delivers messages to a subscription: those of one batch commit together, a few transactions
 * at the same time, since a commit for each would cost more than what most handlers do. Each
 * still runs under its own key, in order, with the inbox in the same transaction (I3). When
 * one fails all of its transaction are rolled back, and the bus brings them one by one.
 *
 * A handler that calls other intents gets a transaction of its own: what it calls must see
 * what the deliveries before it did, and must not wait for their locks.
 */
import { limits } from '../base/limits.ts'
import { randomHex } from '../base/random.ts'
import type { Delivered, Subscription } from '../model/event.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Message } from '../ports/database.ts'
import { Deadline } from './deadline.ts'
import { writingContext } from './execution.ts'
import type { Execution, Surroundings } from './execution.ts'
import type { Span } from './span.ts'
import { UnitOfWork } from './unit-of-work.ts'

/** How many transactions run at the same time. */
const lanesMax = 4
/** How many messages commit together. */
const togetherMax = 32
/** Subscriptions that have called another intent. */
const callers = new WeakSet<Subscription>()

export async function deliver(surroundings: Surroundings, intent: Subscription, batch: readonly Message[]): Promise<void> {
  const size = callers.has(intent) ? 1 : togetherMax
  const lanes = lanesOf(batch, Math.min(lanesMax, Math.ceil(batch.length / size)))
  const results = await Promise.allSettled(lanes.map(async lane => {
    for (let at = 0; at < lane.length; at += size) await deliverTogether(surroundings, intent, lane.slice(at, at + size))
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

function deliverTogether(surroundings: Surroundings, intent: Subscription, messages: readonly Message[]): Promise<void> {
  const span = surroundings.tracer.consume('handler', intent.name, messages.map(one => one.traceparent))
  span.facts = { from: messages[0]!.name, messages: messages.length, ...messages.length === 1 ? { messageId: messages[0]!.id } : {} }
  return observed(surroundings, span, () => runTogether(surroundings, intent, messages, span))
}

async function runTogether(surroundings: Surroundings, intent: Subscription, messages: readonly Message[], span: Span): Promise<void> {
  const key = intent.definition.key as ((payload: unknown) => Key) | undefined
  const run = intent.definition.run as (context: unknown, event: Delivered) => Promise<void>
  const deliveries = messages.map(message => ({ message, target: key ? routed(key(message.payload)) : { key: message.key, bucket: message.bucket } }))
  const { target } = deliveries[0]!
  const deadline = new Deadline(limits.commandDeadlineMs)
  const scope = { service: intent.service.name, bucket: target.bucket, deadlineMonotonicMs: deadline.atMonotonicMs }
  const work = new UnitOfWork(surroundings, scope, target.key, span)
  const together = messages.length > 1 ? { called: false } : undefined
  const meter = surroundings.statistics.meterOf(intent)
  try {
    const fresh = await (await work.transaction()).firstSeen(intent.name, deliveries.map(({ message: { id }, target: { bucket } }) => ({ id, bucket })))
    for (const { message, target } of deliveries) {
      if (!fresh.has(message.id)) continue
      await work.turnTo(target, messages.length > 1 ? message.traceparent ?? null : null)
      const execution: Execution = { intent, deadline, together, span, bucket: target.bucket, user: null, metadata: metadataFor(message, span, deadline) }
      const running = deadline.race(run(writingContext(surroundings, execution, work), message))
      await (meter ? meter.measure(running) : running)
      // Also where the handler caught the refusal of its call.
      if (together?.called) throw new Error(`${intent.name} calls other intents`)
    }
    await work.finish()
    meter?.messages?.add(fresh.size)
    await work.spread()
  } catch (error) {
    await work.abandon(error)
    if (together?.called) callers.add(intent)
    throw error
  }
}

/** Runs what was delivered: its span ends with it, and at debug the log has a line. */
export async function observed({ tracer, log }: Pick<Surroundings, 'tracer' | 'log'>, span: Span, work: () => Promise<void>): Promise<void> {
  await tracer.run(span, work)
  if (log.isLevelEnabled('debug')) log.debug({ intent: span.about, traceId: span.trace.traceId, spanId: span.id }, `${span.what} done`)
}

/** A delivery calls others under an idempotency key of its own, so that a second one repeats nothing. */
export function metadataFor(message: Pick<Message, 'id'>, span: Span, deadline: Deadline): Execution['metadata'] {
  return { timeoutMs: deadline.remainingMs(), traceparent: span.traceparent, requestId: randomHex(8), caller: null, idempotencyKey: message.id, depth: 1, priority: 'low' }
}
