/**
 * Counts, per intent, how often it ran and which statements and calls each run made, and
 * gives every statement its mark: a trailing comment with the intent's name, by which
 * Postgres's own statistics, activity and log show whose it is (docs/database.md).
 *
 * One lookup and a few additions per statement: a text is marked once and then reused, so
 * that the driver prepares it once. Counts of one run are kept apart from those of others.
 */
import type { MetricRegistry } from '../base/metric-registry.ts'
import { monotonicMs } from '../base/time.ts'
import type { Declared } from '../model/intent.ts'
import { IntentMeter } from './intent-meter.ts'

/** Plain data: what a registry of metrics, the admin port and `tenfold advise` read. */
export interface StatementCount {
  /** SQL without its mark, or `call <intent>` for a call of another intent. */
  readonly text: string
  readonly runs: number
  /** Runs of the intent in which it occurred. */
  readonly calls: number
  /** The most it occurred in one. */
  readonly perCallMax: number
}

export interface IntentCount {
  readonly intent: string
  readonly kind: Declared['kind']
  readonly calls: number
  readonly statements: number
  readonly texts: readonly StatementCount[]
}

/** In sqlcommenter's form: a key, and a value encoded so that nothing in it can end the comment. */
export const markOf = (intent: string): string => ` /*intent='${encodeURIComponent(intent).replaceAll('\'', '%27')}'*/`

/** Texts kept apart per intent; what goes beyond is one sum. */
const textsMax = 200
const others = '(others)'
const callText = 'call '

class Counter {
  readonly index: number
  readonly text: string
  readonly marked: string
  runs = 0
  calls = 0
  perCallMax = 0

  constructor(index: number, text: string, marked: string) {
    this.index = index
    this.text = text
    this.marked = marked
  }
}

class IntentStatistics {
  calls = 0
  readonly meter: IntentMeter | null
  readonly #intent: Declared
  readonly #mark: string
  readonly #counters: Counter[] = []
  readonly #byTemplate = new WeakMap<TemplateStringsArray, Counter>()
  readonly #byText = new Map<string, Counter>()

  constructor(intent: Declared, metrics: MetricRegistry | null) {
    this.#intent = intent
    this.meter = metrics && new IntentMeter(metrics, intent)
    this.#mark = markOf(intent.name)
  }

  ofTemplate(strings: TemplateStringsArray): Counter {
    let counter = this.#byTemplate.get(strings)
    if (!counter) {
      counter = this.of(strings.reduce((sum, part, index) => index === 0 ? part : `${sum}$${index}${part}`, ''))
      this.#byTemplate.set(strings, counter)
    }
    return counter
  }

  /** For texts that are written in a program, and so are few. */
  of(text: string): Counter {
    let counter = this.#byText.get(text)
    if (!counter) {
      counter = new Counter(this.#counters.length, text, text + this.#mark)
      this.#counters.push(counter)
      this.#byText.set(text, counter)
    }
    return counter
  }

  /** For texts that a program builds, and that may be many: null for one of too many. */
  ofBuilt(text: string): Counter | null {
    return this.#counters.length < textsMax ? this.of(text) : this.#byText.get(text) ?? null
  }

  marked(text: string): string { return text + this.#mark }

  read(): IntentCount {
    const seen = this.#counters.filter(one => one.runs > 0)
    return {
      intent: this.#intent.name, kind: this.#intent.kind, calls: this.calls,
      statements: seen.reduce((sum, one) => one.text.startsWith(callText) ? sum : sum + one.runs, 0),
      texts: seen.map(({ text, runs, calls, perCallMax }) => ({ text, runs, calls, perCallMax })),
    }
  }
}

/** The statements of one run of an intent: each is counted and comes back with its mark. */
export class RunStatistics {
  readonly #intent: IntentStatistics
  #counts: number[] | undefined

  constructor(intent: IntentStatistics) {
    this.#intent = intent
    intent.calls++
  }

  template(strings: TemplateStringsArray): string {
    const counter = this.#intent.ofTemplate(strings)
    this.#count(counter)
    return counter.marked
  }

  text(sql: string): string {
    const counter = this.#intent.ofBuilt(sql)
    this.#count(counter ?? this.#intent.of(others))
    return counter?.marked ?? this.#intent.marked(sql)
  }

  /** Adds the time of a statement, which has just ended, to that of its intent. */
  took(startedAtMs: number): void { this.#intent.meter?.statementSeconds.add((monotonicMs() - startedAtMs) / 1_000) }

  call(target: string): void { this.#count(this.#intent.of(callText + target)) }

  #count(counter: Counter): void {
    const counts = this.#counts ??= []
    const inRun = (counts[counter.index] ?? 0) + 1
    counts[counter.index] = inRun
    counter.runs++
    if (inRun === 1) counter.calls++
    if (inRun > counter.perCallMax) counter.perCallMax = inRun
  }
}

export class Statistics {
  readonly #intents = new Map<Declared, IntentStatistics>()
  readonly #metrics: MetricRegistry | null

  /** Without metrics it counts statements and calls only. */
  constructor(metrics: MetricRegistry | null = null) {
    this.#metrics = metrics
    metrics?.observe('tenfold_intent_statements_total', () => this.read().map(({ intent, statements }) => ({ labels: { intent }, value: statements })))
    metrics?.observe('tenfold_intent_calls_total', () => this.read().flatMap(({ intent, texts }) =>
      texts.filter(one => one.text.startsWith(callText)).map(({ text, runs }) => ({ labels: { intent, target: text.slice(callText.length) }, value: runs }))))
  }

  /** A run of this intent begins. */
  begin(intent: Declared): RunStatistics { return new RunStatistics(this.#of(intent)) }

  /** Null where nothing is measured. */
  meterOf(intent: Declared): IntentMeter | null { return this.#metrics && this.#of(intent).meter }

  #of(intent: Declared): IntentStatistics {
    let found = this.#intents.get(intent)
    if (!found) this.#intents.set(intent, found = new IntentStatistics(intent, this.#metrics))
    return found
  }

  read(): IntentCount[] { return [...this.#intents.values()].map(one => one.read()) }
}

/** What several processes counted, as one. */
export function mergeStatistics(all: readonly (readonly IntentCount[])[]): IntentCount[] {
  return [...Map.groupBy(all.flat(), one => one.intent).values()].map(same => ({
    intent: same[0]!.intent, kind: same[0]!.kind, calls: sum(same, one => one.calls), statements: sum(same, one => one.statements),
    texts: [...Map.groupBy(same.flatMap(one => one.texts), one => one.text).values()].map(texts => ({
      text: texts[0]!.text, runs: sum(texts, one => one.runs), calls: sum(texts, one => one.calls), perCallMax: Math.max(...texts.map(one => one.perCallMax)),
    })),
  }))
}

const sum = <T>(list: readonly T[], of: (one: T) => number): number => list.reduce((total, one) => total + of(one), 0)
