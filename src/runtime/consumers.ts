/**
 * Runs what reacts to events: each subscription in a transaction of its own under its
 * key, each projection a batch at a time. The inbox, in the same transaction, makes a
 * second delivery have no second effect (I3).
 */
import { limits } from '../base/limits.ts'
import { randomHex } from '../base/random.ts'
import { monotonicMs } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import type { Delivered, Event, Subscription } from '../model/event.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus, Subscribed, Subscription as BusSubscription } from '../ports/bus.ts'
import type { Cdn } from '../ports/cdn.ts'
import type { Message } from '../ports/database.ts'
import { Deadline } from './deadline.ts'
import { projectionContext, writingContext } from './execution.ts'
import type { Execution, Surroundings } from './execution.ts'
import type { Invalidation } from './invalidation.ts'
import { invalidatedMessage, invalidatedNameOf } from './invalidation.ts'
import { traceparentFrom } from './trace.ts'
import { UnitOfWork } from './unit-of-work.ts'

export interface ConsumersOptions extends Surroundings {
  readonly app: Application
  readonly bus: Bus
  /** Told of every invalidation, surely. */
  readonly cdn: Cdn | null
  /** The services this process runs. */
  readonly services: readonly string[]
}

/** How many keys of a batch are handled at the same time. */
const lanes = 4
const backoff = { baseMs: 50, capMs: 5_000 }

export async function startConsumers(options: ConsumersOptions): Promise<Subscribed> {
  const running: Subscribed[] = []
  for (const intent of options.app.intents.values()) {
    if (!options.services.includes(intent.service.name)) continue
    const policy = { consumer: intent.name, attemptsMax: limits.eventAttemptsMax, backoff }
    if (intent.kind === 'subscription') {
      const subscription = intent as Subscription
      running.push(await options.bus.subscribe({ ...policy, names: [subscription.definition.on.name], handle: batch => handleByKey(options, subscription, batch) }))
    }
    if (intent.kind === 'projection') {
      const projection = intent as Projection
      const names = projection.definition.on.map(event => event.name)
      running.push(await options.bus.subscribe({ ...policy, names, handle: batch => measured(options, projection, batch.length, () => project(options, projection, batch)) }))
    }
  }
  if (options.invalidation) running.push(await options.bus.subscribe(repeatedInvalidation(options, options.invalidation)))
  return { stop: async () => { await Promise.all(running.map(one => one.stop())) } }
}

/** What the broadcast said at once, said surely: its sender may have died before it could. */
function repeatedInvalidation({ app, cdn }: ConsumersOptions, invalidation: Invalidation): BusSubscription {
  return {
    consumer: 'tenfold.invalidation', names: app.services.map(one => invalidatedNameOf(one.name)), attemptsMax: Number.MAX_SAFE_INTEGER, backoff,
    handle: async batch => {
      const tags = [...new Set(batch.flatMap(({ payload }) => (payload as { tags: string[] }).tags))]
      await Promise.all([invalidation.spread(tags), cdn?.purge(tags)])
    },
  }
}

async function measured({ statistics }: Surroundings, intent: Subscription | Projection, messages: number, handle: () => Promise<void>): Promise<void> {
  const meter = statistics.meterOf(intent)
  if (!meter) return handle()
  await meter.measure(handle())
  meter.messages?.add(messages)
}

async function handleByKey(options: ConsumersOptions, intent: Subscription, batch: readonly Message[]): Promise<void> {
  const byKey = Map.groupBy(batch, message => message.key)
  const queue = [...byKey.values()]
  const lane = async () => {
    for (let messages = queue.shift(); messages; messages = queue.shift()) {
      for (const message of messages) await measured(options, intent, 1, () => handleOne(options, intent, message))
    }
  }
  const results = await Promise.allSettled(Array.from({ length: Math.min(lanes, queue.length) }, lane))
  const failed = results.find(result => result.status === 'rejected')
  if (failed) throw failed.reason
}

async function handleOne(options: ConsumersOptions, intent: Subscription, message: Message): Promise<void> {
  const key = intent.definition.key as ((payload: unknown) => Key) | undefined
  const target = key ? routed(key(message.payload)) : { key: message.key, bucket: message.bucket }
  const deadline = new Deadline(limits.commandDeadlineMs)
  const traceparent = traceparentFrom(message.traceparent)
  const scope = { service: intent.service.name, bucket: target.bucket, deadlineMonotonicMs: deadline.atMonotonicMs }
  const work = new UnitOfWork(options, scope, target.key, traceparent)
  const execution: Execution = { intent, deadline, bucket: target.bucket, user: null, metadata: metadataFor(message, traceparent, deadline) }
  try {
    const fresh = await (await work.transaction()).firstSeen(intent.name, [{ id: message.id, bucket: target.bucket }])
    if (fresh.has(message.id)) {
      const run = intent.definition.run as (context: unknown, event: Delivered) => Promise<void>
      await deadline.race(run(writingContext(options, execution, work), message))
    }
    await work.finish()
    await work.spread()
  } catch (error) {
    await work.abandon(error)
    throw error
  }
}

/** A delivery calls others under an idempotency key of its own, so that a second one repeats nothing. */
export function metadataFor(message: Pick<Message, 'id'>, traceparent: string, deadline: Deadline): Execution['metadata'] {
  return { timeoutMs: deadline.remainingMs(), traceparent, requestId: randomHex(8), caller: null, idempotencyKey: message.id, depth: 1, priority: 'low' }
}

interface EventBatch { readonly all: readonly Delivered[]; of(event: Event): readonly Delivered[] }
interface RunnableProjection {
  run(context: unknown, batch: EventBatch): Promise<void>
  invalidates?(batch: EventBatch): readonly string[]
}

async function project(options: ConsumersOptions, intent: Projection, batch: readonly Message[]): Promise<void> {
  const scope = { service: intent.service.name, bucket: null, deadlineMonotonicMs: monotonicMs() + limits.commandDeadlineMs }
  const { run, invalidates } = intent.definition as unknown as RunnableProjection
  const tags = await options.database.transaction(scope, async transaction => {
    const fresh = await transaction.firstSeen(intent.name, batch)
    const all: Delivered[] = batch.filter(message => fresh.has(message.id))
    if (all.length === 0) return []
    const batchOfEvents: EventBatch = { all, of: event => all.filter(one => one.name === event.name) }
    await run(projectionContext(options, intent, transaction), batchOfEvents)
    const tags = options.invalidation ? invalidates?.(batchOfEvents) ?? [] : []
    if (tags.length > 0) await transaction.append([invalidatedMessage(intent.service.name, all[0]!.bucket, tags)])
    return tags
  })
  if (tags.length > 0) await options.invalidation!.spread(tags)
}
