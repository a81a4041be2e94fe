/**
 * The dispatcher runs one call of one intent: it finds the intent, keeps the deadline, and
 * is the one layer that retries. What a query and a command do differently is in their
 * runners. It answers calls from the ingress and, through the transport, from other services.
 */
import { Deadline } from '../base/deadline.ts'
import type { Observer } from '../base/deadline.ts'
import { fault, isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { monotonicMs } from '../base/time.ts'
import type { Application } from '../model/app.ts'
import type { Command } from '../model/command.ts'
import type { Declared } from '../model/intent.ts'
import type { Query } from '../model/query.ts'
import type { Answer, Call } from '../ports/transport.ts'
import { CommandRunner } from './command-runner.ts'
import { assertDepth } from './execution.ts'
import type { Surroundings } from './execution.ts'
import type { IntentMeter } from './intent-meter.ts'
import { outputOf, refusalOf } from './query-cache.ts'
import type { Kept, QueryCache } from './query-cache.ts'
import { QueryRunner } from './query-runner.ts'
import { isRetryable, RetryBudget, withRetries } from './retry.ts'
import type { Session } from './session.ts'
import type { Span } from './span.ts'
import type { Statistics } from './statistics.ts'

export interface DispatcherOptions extends Surroundings {
  readonly app: Application
  readonly session: Session
  /** Null: nothing is kept. */
  readonly cache: QueryCache | null
  /** False leaves out what the negative control of the crash test needs: answers come before COMMIT. */
  readonly acknowledgeAfterCommit?: boolean
  /** False: a call that comes again is run again, whatever its idempotency key. For negative controls. */
  readonly remembersAnswers?: boolean
}

/** An output, or the kept answer it can be read from. */
export type Outcome = { readonly token: string | undefined } & ({ readonly output: unknown; readonly kept: null } | { readonly kept: Kept })

export class Dispatcher {
  readonly #intents: ReadonlyMap<string, Declared>
  readonly #queries: QueryRunner
  readonly #commands: CommandRunner
  readonly #statistics: Statistics
  readonly #budget = new RetryBudget()
  readonly #tracer: DispatcherOptions['tracer']

  constructor(options: DispatcherOptions) {
    this.#intents = options.app.intents
    this.#statistics = options.statistics
    this.#tracer = options.tracer
    this.#queries = new QueryRunner(options)
    this.#commands = new CommandRunner(options)
  }

  /** Runs a call; rejects with a TenfoldError, or with whatever a programming error threw. */
  async dispatch(call: Call): Promise<Answer> {
    const span = this.#tracer.receive(call.intent, call.metadata.traceparent)
    return this.#tracer.run(span, async () => {
      const outcome = await this.answer(call, span)
      return { output: outcome.kept ? outputOf(outcome.kept) : outcome.output, token: outcome.token }
    })
  }

  /** Like `dispatch`, under a span that is there already; a kept answer stays serialised. */
  answer(call: Call, span: Span): Promise<Outcome> {
    const intent = this.#intents.get(call.intent)
    if (!intent || (intent.kind !== 'query' && intent.kind !== 'command')) return Promise.reject(fault('NOT_FOUND', `there is no query or command '${call.intent}'`))
    const meter = this.#statistics.meterOf(intent)
    return this.#run(intent, call, span, meter && new Measurement(meter))
  }

  #run(intent: Declared, call: Call, span: Span, measurement: Measurement | null): Promise<Outcome> {
    const deadline = new Deadline(call.metadata.timeoutMs)
    const run = (under: Span): Promise<Outcome> => intent.kind === 'query'
      ? this.#queries.run(intent as Query, call, deadline, under)
      : this.#commands.run(intent as Command, call, deadline, under)
    if (call.metadata.depth > 0) {
      try { assertDepth(call.metadata, limits.callDepthMax); deadline.check() } catch (error) {
        measurement?.failed(error)
        return Promise.reject(error as Error)
      }
      return deadline.race(run(span), measurement)
    }
    const mayRetry = (error: unknown) => isRetryable(error) || (call.repeatable && isTenfoldError(error) && error.code === 'OUTCOME_UNKNOWN')
    return deadline.race(withRetries(this.#budget, deadline.atMonotonicMs, mayRetry, attempt => attempt === 1 ? run(span) : again(span, attempt, run), measurement?.meter.retries), measurement)
  }
}

/** Time and outcome of one call. */
class Measurement implements Observer<Outcome> {
  readonly meter: IntentMeter
  readonly #startedAtMs = monotonicMs()

  constructor(meter: IntentMeter) { this.meter = meter }

  succeeded({ kept }: Outcome): void {
    if (kept?.note.refusal) this.meter.failed(refusalOf(kept), this.#startedAtMs)
    else this.meter.succeeded(this.#startedAtMs)
  }

  failed(error: unknown): void { this.meter.failed(error, this.#startedAtMs) }
}

/** What a further attempt does is told from what the one before did. */
function again(span: Span, attempt: number, run: (under: Span) => Promise<Outcome>): Promise<Outcome> {
  const under = span.begin('attempt', span.about)
  under.count = attempt
  return under.around(run(under))
}
