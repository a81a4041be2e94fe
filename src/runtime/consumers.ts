/**
 * Runs what reacts to events: subscriptions by `delivery.ts`, each projection a batch at a
 * time. How far it is commits with its effects, or the inbox does: either makes a second
 * delivery have no second effect (I3).
 */
import { limits } from '../base/limits.ts'
import { monotonicMs } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import type { Delivered, Event, Subscription } from '../model/event.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus, Subscribed, Subscription as BusSubscription } from '../ports/bus.ts'
import type { Cdn } from '../ports/cdn.ts'
import type { Advance, Message } from '../ports/database.ts'
import { deliver, deliveredMax, observed } from './delivery.ts'
import { projectionContext } from './execution.ts'
import type { Surroundings } from './execution.ts'
import type { Invalidation } from './invalidation.ts'
import { invalidatedMessage, invalidatedNameOf, tagsIn } from './invalidation.ts'
import type { Span } from './span.ts'
import { tracedTransaction } from './traced-transaction.ts'

export interface ConsumersOptions extends Surroundings {
  readonly app: Application
  readonly bus: Bus
  /** Told of every invalidation, surely. */
  readonly cdn: Cdn | null
  /** The services this process runs. */
  readonly services: readonly string[]
}

const invalidationConsumer = 'tenfold.invalidation'

/** All that read the events of the application, whichever process they run in. */
export const consumerNames = ({ app, invalidation }: Pick<ConsumersOptions, 'app' | 'invalidation'>): string[] => [
  ...[...app.intents.values()].filter(({ kind }) => kind === 'subscription' || kind === 'projection').map(({ name }) => name),
  ...invalidation ? [invalidationConsumer] : [],
]

const backoff = { baseMs: 50, capMs: 5_000 }

export async function startConsumers(options: ConsumersOptions): Promise<Subscribed> {
  const running: Subscribed[] = []
  for (const intent of options.app.intents.values()) {
    if (!options.services.includes(intent.service.name)) continue
    const policy = { consumer: intent.name, attemptsMax: limits.eventAttemptsMax, backoff }
    if (intent.kind === 'subscription') {
      const subscription = intent as Subscription
      running.push(await options.bus.subscribe({ ...policy, names: [subscription.definition.on.name], batchMax: deliveredMax, handle: (batch, advance) => deliver(options, subscription, batch, advance) }))
    }
    if (intent.kind === 'projection') {
      const projection = intent as Projection
      const names = projection.definition.on.map(event => event.name)
      running.push(await options.bus.subscribe({ ...policy, names, handle: (batch, advance) => measured(options, projection, batch.length, () => project(options, projection, batch, advance)) }))
    }
  }
  if (options.invalidation) running.push(await options.bus.subscribe(repeatedInvalidation(options, options.invalidation)))
  return { stop: async () => { await Promise.all(running.map(one => one.stop())) } }
}

/** What the broadcast said at once, said surely: its sender may have died before it could. */
function repeatedInvalidation({ app, cdn }: ConsumersOptions, invalidation: Invalidation): BusSubscription {
  return {
    consumer: invalidationConsumer, names: app.services.map(one => invalidatedNameOf(one.name)), attemptsMax: Number.MAX_SAFE_INTEGER, backoff,
    // A CDN hears of it here alone; processes have mostly heard of it before.
    gatherMs: cdn ? 10 : 200,
    handle: async batch => { await Promise.all([invalidation.repeat(batch), cdn?.purge(tagsIn(batch))]) },
  }
}

type Outcome = 'advanced' | void

async function measured({ statistics }: Surroundings, intent: Projection, messages: number, handle: () => Promise<Outcome>): Promise<Outcome> {
  const meter = statistics.meterOf(intent)
  if (!meter) return handle()
  const outcome = await meter.measure(handle())
  meter.messages?.add(messages)
  return outcome
}

interface EventBatch { readonly all: readonly Delivered[]; of(event: Event): readonly Delivered[] }
interface RunnableProjection {
  run(context: unknown, batch: EventBatch): Promise<void>
  invalidates?(batch: EventBatch): readonly string[]
}

function project(options: ConsumersOptions, intent: Projection, batch: readonly Message[], advance: Advance | null | undefined): Promise<Outcome> {
  const span = options.tracer.consume('batch', intent.name, batch.map(one => one.traceparent))
  span.facts = { from: intent.definition.on.map(event => event.name).join(' '), messages: batch.length }
  return observed(options, span, () => projectBatch(options, intent, batch, advance, span))
}

async function projectBatch(options: ConsumersOptions, intent: Projection, batch: readonly Message[], advance: Advance | null | undefined, span: Span): Promise<Outcome> {
  const scope = { service: intent.service.name, bucket: null, deadlineMonotonicMs: monotonicMs() + limits.commandDeadlineMs }
  const { run, invalidates } = intent.definition as unknown as RunnableProjection
  const invalidated = await tracedTransaction(options.database, scope, span, async transaction => {
    const advanced = advance ? transaction.advance(advance) : null
    // It travels with the statements of the projection, and is awaited behind them.
    advanced?.catch(() => {})
    const fresh = advance ? null : await transaction.firstSeen(intent.name, batch)
    const all: readonly Delivered[] = fresh ? batch.filter(message => fresh.has(message.id)) : batch
    if (all.length === 0) return null
    const batchOfEvents: EventBatch = { all, of: event => all.filter(one => one.name === event.name) }
    await run(projectionContext(options, intent, transaction, span), batchOfEvents)
    await advanced
    const tags = options.invalidation ? [...new Set(invalidates?.(batchOfEvents))] : []
    if (tags.length === 0) return null
    const message = invalidatedMessage(intent.service.name, all[0]!.bucket, tags, span.traceparent)
    await transaction.append([message])
    return { tags, message }
  })
  if (invalidated) await span.begin('invalidate', intent.service.name).around(options.invalidation!.spread(invalidated.tags, [invalidated.message.id]))
  if (advance) return 'advanced'
}
