/** What is measured of one intent in this process: outcomes with their durations, errors, cache, deliveries. Its children are made once. */
import type { ErrorCode } from '../base/errors.ts'
import type { Histogram } from '../base/histogram.ts'
import type { Counter, MetricRegistry } from '../base/metric-registry.ts'
import type { Place } from '../base/place.ts'
import { monotonicMs } from '../base/time.ts'
import type { Declared } from '../model/intent.ts'
import { asTenfoldError } from './problem.ts'
import { divideTime } from './residence.ts'
import type { Trace } from './span.ts'

/** The deliveries and attempts of subscriptions, projections and jobs are never refused: they fail. */
const outcomes = ['ok', 'refused', 'failed'] as const
type Outcome = typeof outcomes[number]

export class IntentMeter {
  readonly cache: { readonly hit: Counter; readonly stale: Counter; readonly coalesced: Counter; readonly miss: Counter } | null
  readonly retries: Counter
  readonly messages: Counter | null
  readonly dead: Counter | null
  readonly statementSeconds: Counter
  readonly #intent: Declared
  readonly #metrics: MetricRegistry
  readonly #answersCalls: boolean
  readonly #durations = new Map<Outcome, Histogram>()
  readonly #errors = new Map<ErrorCode, Counter>()
  readonly #residence = new Map<Place, Counter>()
  readonly #addTime = (place: Place, ms: number): void => {
    let found = this.#residence.get(place)
    if (!found) {
      if (ms === 0) return
      this.#residence.set(place, found = this.#metrics.counter('tenfold_intent_residence_seconds_total', this.#intent.name, place))
    }
    found.add(ms / 1_000)
  }
  readonly #shed: Counter
  readonly #expired: Counter
  #turnedAway = 0

  constructor(metrics: MetricRegistry, intent: Declared) {
    const { name, kind } = intent
    this.#metrics = metrics
    this.#intent = intent
    this.#answersCalls = kind === 'query' || kind === 'command'
    const result = (value: string) => metrics.counter('tenfold_intent_cache_requests_total', name, value)
    const mayBeKept = kind === 'query' && (intent as { definition?: { freshness?: unknown } }).definition?.freshness !== undefined
    this.cache = mayBeKept ? { hit: result('hit'), stale: result('stale'), coalesced: result('coalesced'), miss: result('miss') } : null
    this.retries = metrics.counter('tenfold_intent_retries_total', name)
    this.messages = this.#answersCalls ? null : metrics.counter('tenfold_intent_messages_total', name)
    this.dead = this.#answersCalls ? null : metrics.counter('tenfold_intent_dead_total', name)
    this.statementSeconds = metrics.counter('tenfold_intent_statement_seconds_total', name)
    this.#shed = metrics.counter('tenfold_intent_shed_total', name)
    this.#expired = metrics.counter('tenfold_intent_expired_total', name)
    metrics.observe('tenfold_intent_requests_total', () => [
      ...(this.#answersCalls ? outcomes : ['ok', 'failed'] as const).map(outcome => ({ labels: { intent: name, kind, outcome }, value: this.#durations.get(outcome)?.count ?? 0 })),
      ...this.#answersCalls ? [{ labels: { intent: name, kind, outcome: 'shed' }, value: this.#turnedAway }] : [],
    ])
  }

  /** Time and outcome of one request, delivery or attempt. */
  async measure<T>(work: Promise<T>): Promise<T> {
    const startedAtMs = monotonicMs()
    try {
      const value = await work
      this.succeeded(startedAtMs)
      return value
    } catch (error) {
      this.failed(error, startedAtMs)
      throw error
    }
  }

  succeeded(startedAtMs: number): void { this.#duration('ok').observe((monotonicMs() - startedAtMs) / 1_000) }

  failed(error: unknown, startedAtMs: number): void {
    const { code, status } = asTenfoldError(error)
    // Its transaction found no connection: nothing was begun.
    if (code === 'OVERLOADED' && this.#answersCalls) return this.shed(code)
    this.#error(code)
    if (code === 'DEADLINE_EXCEEDED') this.#expired.add()
    this.#duration(status < 500 && this.#answersCalls ? 'refused' : 'failed').observe((monotonicMs() - startedAtMs) / 1_000)
  }

  /** Where the time of one request went. */
  resided(trace: Trace): void { divideTime(trace, this.#addTime) }

  /** Refused before anything was done for it. */
  shed(code: 'OVERLOADED' | 'DRAINING'): void {
    this.#turnedAway++
    if (code === 'OVERLOADED') this.#shed.add()
    this.#error(code)
  }

  /** Not all made at once: most outcomes of most intents never come. */
  #duration(outcome: Outcome): Histogram {
    let found = this.#durations.get(outcome)
    if (!found) this.#durations.set(outcome, found = this.#metrics.histogram('tenfold_intent_duration_seconds', this.#intent.name, this.#intent.kind, outcome))
    return found
  }

  #error(code: ErrorCode): void {
    let found = this.#errors.get(code)
    if (!found) this.#errors.set(code, found = this.#metrics.counter('tenfold_intent_errors_total', this.#intent.name, this.#intent.kind, code))
    found.add()
  }
}
