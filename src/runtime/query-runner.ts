/** Runs queries: caller, input, key, session, handler, output; and keeps the answers of those that may be kept. */
import { Deadline } from '../base/deadline.ts'
import { JsonText, jsonOf, valueOf } from '../base/json-text.ts'
import type { Key } from '../model/intent.ts'
import { routed } from '../model/key.ts'
import type { Query } from '../model/query.ts'
import type { Call } from '../ports/transport.ts'
import { callerOf } from './caller.ts'
import type { DispatcherOptions, Outcome } from './dispatcher.ts'
import { queryContext } from './execution.ts'
import type { Execution } from './execution.ts'
import type { QueryCache } from './query-cache.ts'
import { parse, parseOwn, TextSamples } from './schema.ts'
import type { LivingToken, Reading } from './session.ts'
import type { Span } from './span.ts'

type User = Execution['user']

export class QueryRunner {
  readonly #options: DispatcherOptions
  readonly #samples = new TextSamples()

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  async run(intent: Query, call: Call, deadline: Deadline, span: Span): Promise<Outcome> {
    const { cache } = this.#options
    // Who calls comes first: a stranger learns nothing about what an input should look like.
    const user = callerOf(intent, call)
    const parsed = parse(intent.definition.input, call.input)
    const input = parsed instanceof Promise ? await parsed : parsed
    if (cache && intent.definition.freshness) return this.#runKept(cache, intent, call, input, user, span)
    const session = this.#options.session.living(call.metadata.token)
    const chosen = this.#reading(intent, call, session, false)
    const reading = chosen instanceof Promise ? await chosen : chosen
    const output = await this.#readSeen(intent, call, input, user, deadline, span, reading)
    // Who calls from within goes on with the token it has.
    const moves = session && call.metadata.depth === 0 && (cache || reading.isOneOfSeveral)
    return { output, kept: null, token: moves ? this.#options.session.tokenAfterRead(session, await reading.shown()) : call.metadata.token }
  }

  #reading(intent: Query, { metadata }: Call, session: LivingToken | null, isKept: boolean): Reading | Promise<Reading> {
    return this.#options.session.reading(intent.service.name, { session, reads: intent.definition.reads ?? [], readsAt: metadata.readsAt, isKept })
  }

  /** What is not kept: while somebody wants to know what keeping it would save, its ghost is. */
  #readSeen(intent: Query, call: Call, input: unknown, user: User, deadline: Deadline, span: Span, reading: Reading): Promise<unknown> {
    const { ghost } = this.#options
    const missed = ghost?.isOn ? ghost.ask({ intent, key: keyOf(intent, input, user), hasToken: call.metadata.token !== undefined, mayLag: mayLag(call, user) }) : null
    const output = this.#read(intent, call, input, user, deadline, span, reading)
    return missed ? output.then(value => {
      missed.keep(jsonOf(value)?.length ?? 0, tagsOf(intent, input, user, value))
      return value
    }) : output
  }

  async #runKept(cache: QueryCache, intent: Query, call: Call, input: unknown, user: User, under: Span): Promise<Outcome> {
    const { definition } = intent
    const session = this.#options.session.living(call.metadata.token)
    const span = under.begin('cache', intent.name)
    const kept = await span.around(cache.answer({
      key: keyOf(intent, input, user), freshness: definition.freshness!, reads: definition.reads ?? [], session, span,
      mayLag: mayLag(call, user),
      meter: this.#options.statistics.meterOf(intent),
      // A read serves all who wait for it: it has the intent's own time, not that of whoever came first.
      reading: () => this.#reading(intent, call, session, true),
      read: (isRefresh, at) => {
        const deadline = new Deadline(definition.deadlineMs ?? call.metadata.timeoutMs)
        const read = (reading: Span) => deadline.race(this.#read(intent, call, input, user, deadline, reading, at))
        return isRefresh ? this.#refresh(span, read) : read(span)
      },
      tags: output => tagsOf(intent, input, user, output),
    }))
    return { kept, token: session && call.metadata.depth === 0 ? await cache.tokenWith(session, kept) : call.metadata.token }
  }

  /** Whoever asked has been answered: it is a trace of its own, which tells who that was. */
  #refresh(asked: Span, read: (span: Span) => Promise<unknown>): Promise<unknown> {
    const { tracer } = this.#options
    const span = tracer.consume('refresh', asked.about, [asked.traceparent])
    return tracer.run(span, () => read(span))
  }

  async #read(intent: Query, call: Call, input: unknown, user: User, deadline: Deadline, span: Span, reading: Reading): Promise<unknown> {
    const { definition } = intent
    const { metadata } = call
    const key = definition.key as ((input: unknown, caller: unknown) => Key) | undefined
    const bucket = key ? routed(key(input, { user })).bucket : null
    if (metadata.token && definition.reads) await span.begin('await', 'read models').around(this.#options.session.awaitProjections(definition.reads, metadata.token))
    const run = definition.run as (context: unknown, input: unknown) => unknown
    const output = await run(queryContext(this.#options, { intent, metadata, user, deadline, bucket, span, reading }), input)
    return output instanceof JsonText ? this.#samples.check(output, intent) : parseOwn(definition.output, output, intent)
  }
}

/** Nobody in particular, from outside: neither signed in nor with a token, be its time over or not. */
const mayLag = ({ metadata }: Call, user: User): boolean => user === null && metadata.token === undefined && metadata.depth === 0

/** The same question has the same key: input as it was parsed, and who asks where that matters. */
function keyOf(intent: Query, input: unknown, user: User): string {
  return `${intent.name}\n${user === null ? '' : user.id}\n${JSON.stringify(input)}`
}

function tagsOf({ definition }: Query, input: unknown, user: User, output: unknown): readonly string[] {
  const tags = definition.tags as ((input: unknown, facts: { user: User; output: unknown }) => readonly string[]) | undefined
  return tags?.(input, { user, get output() { return valueOf(output) } }) ?? []
}
