/**
 * One transaction of several deliveries, or jobs, of one intent. Each runs under its own key,
 * with the inbox in the same transaction, or how far the consumer is, so that its effect is there once (I3). Those of one
 * bucket or one key run in their order; others at the same time, over one connection: the
 * database lets each write to its own bucket only, so none meets what another has changed.
 *
 * A handler that calls other intents gets a transaction of its own: what it calls must see
 * what the deliveries before it did, and must not wait for their locks.
 */
import { Deadline } from '../base/deadline.ts'
import { randomHex } from '../base/random.ts'
import type { Declared, RoutedKey } from '../model/intent.ts'
import type { Advance, Message } from '../ports/database.ts'
import { writingContext } from './execution.ts'
import type { Execution, Surroundings } from './execution.ts'
import type { Span } from './span.ts'
import { UnitOfWork } from './unit-of-work.ts'

/** How many messages commit together. */
export const togetherMax = 32
/** Intents that have called another one. */
export const callers = new WeakSet<Declared>()

export interface Due {
  readonly message: Message
  readonly target: RoutedKey
  /** What the handler gets. */
  readonly input: unknown
}

type Runnable = Declared & { readonly definition: { run(context: never, input: never): Promise<void> } }

export async function commitTogether(surroundings: Surroundings, intent: Runnable, dues: readonly Due[], advance: Advance | null, span: Span, timeoutMs: number): Promise<void> {
  const { target } = dues[0]!
  const deadline = new Deadline(timeoutMs)
  const scope = { service: intent.service.name, bucket: target.bucket, deadlineMonotonicMs: deadline.atMonotonicMs }
  const work = new UnitOfWork(surroundings, scope, target.key, span)
  const together = dues.length > 1 ? { called: false } : undefined
  const meter = surroundings.statistics.meterOf(intent)
  const runOne = async ({ message, target, input }: Due): Promise<void> => {
    const share = work.share({ ...target, traceparent: dues.length > 1 ? message.traceparent ?? null : null })
    const execution: Execution = { intent, deadline, together, span, bucket: target.bucket, user: null, metadata: metadataFor(message, span, deadline) }
    const running = (intent.definition.run as (context: unknown, input: unknown) => Promise<void>)(writingContext(surroundings, execution, share), input)
    await (meter ? meter.measure(running) : running)
    // Also where the handler caught the refusal of its call.
    if (together?.called) throw new Error(`${intent.name} calls other intents`)
  }
  try {
    const transaction = await work.transaction()
    // It travels with the first statements of the handlers, and is awaited behind them.
    const advanced = advance ? transaction.advance(advance) : null
    advanced?.catch(() => {})
    const fresh = advance ? null : await transaction.firstSeen(intent.name, dues.map(({ message: { id }, target: { bucket } }) => ({ id, bucket })))
    const due = fresh ? dues.filter(({ message }) => fresh.has(message.id)) : dues
    await deadline.race(allOf(apart(due), runOne))
    await advanced
    await work.finish()
    meter?.messages?.add(due.length)
    await work.spread()
  } catch (error) {
    await work.abandon(error)
    if (together?.called) callers.add(intent)
    throw error
  }
}

/** Groups that share neither a bucket nor a key, each in its order. */
function apart(dues: readonly Due[]): Due[][] {
  const groups: { readonly marks: Set<number | string>; readonly dues: Due[] }[] = []
  for (const due of dues) {
    const marks = [due.target.bucket, due.message.key]
    const [first, ...others] = groups.filter(group => marks.some(mark => group.marks.has(mark)))
    if (!first) {
      groups.push({ marks: new Set(marks), dues: [due] })
      continue
    }
    for (const other of others) {
      for (const mark of other.marks) first.marks.add(mark)
      first.dues.push(...other.dues)
      groups.splice(groups.indexOf(other), 1)
    }
    for (const mark of marks) first.marks.add(mark)
    first.dues.push(due)
  }
  return groups.map(group => group.dues)
}

/** Each group in its order. Rejects only when all have come to an end: nothing of them may run on into another transaction. */
async function allOf(groups: readonly (readonly Due[])[], run: (due: Due) => Promise<void>): Promise<void> {
  let failed: { readonly error: unknown } | undefined
  await Promise.all(groups.map(async group => {
    for (const due of group) {
      if (failed) return
      await run(due).catch((error: unknown) => { failed ??= { error } })
    }
  }))
  if (failed) throw failed.error
}

/** A delivery calls others under an idempotency key of its own, so that a second one repeats nothing. */
export function metadataFor(message: Pick<Message, 'id'>, span: Span, deadline: Deadline): Execution['metadata'] {
  return { timeoutMs: deadline.remainingMs(), traceparent: span.traceparent, requestId: randomHex(8), caller: null, idempotencyKey: message.id, depth: 1, priority: 'low' }
}
