/** A user of a journey as it runs: thinks, sends, keeps its cookies, and has every step counted. */
import { fault } from '../base/errors.ts'
import { monotonicMs, now } from '../base/time.ts'
import type { Agenda } from './agenda.ts'
import { CookieJar } from './cookie-jar.ts'
import { exponential, zipfRank } from './draw.ts'
import type { Fraction } from './draw.ts'
import type { Answer, Journey, StepOptions, User } from './journey.ts'
import type { Ledger } from './ledger.ts'
import type { IncomingAnswer, Sender } from './sender.ts'
import type { Outcome, Tally } from './tally.ts'

/** The journey is over before its end. */
export class JourneyOver extends Error {
  /** An answer was not good; else the run has ended. */
  readonly gaveUp: boolean

  constructor(message: string, gaveUp: boolean) {
    super(message)
    this.gaveUp = gaveUp
  }
}

/** What all visitors of a generator share. */
export interface Grounds {
  readonly sender: Sender
  readonly agenda: Agenda
  readonly random: Fraction
  readonly ledger: Ledger | null
  readonly timeoutMs: number
  readonly lateMs: number
  /** Thinking takes so many times as long as declared. */
  readonly think: number
  /** Where the current second is counted; null while things are prepared. */
  tally(): Tally | null
  hasEnded(): boolean
  unique(): string
}

const pathPattern = /^\/[\x21-\x7e]*$/
const headerPattern = /^[\x20-\x7e\x80-\xff]*$/

export class Visitor implements User {
  readonly id: string
  readonly headers: Record<string, string> = {}
  readonly #grounds: Grounds
  readonly #jar = new CookieJar()
  #journey: Pick<Journey, 'name' | 'thinkMs'>
  /** From when on the user could have gone on: the last answer, or its arrival. */
  #freeMs = 0
  #isFirst = true

  constructor(grounds: Grounds) {
    this.#grounds = grounds
    this.#journey = { name: 'prepare', thinkMs: 0 }
    this.id = grounds.unique()
  }

  /** The user begins this journey, and should have done so at that moment. */
  begin(journey: Pick<Journey, 'name' | 'thinkMs'>, dueMs: number): void {
    this.#journey = journey
    this.#freeMs = dueMs
    this.#isFirst = true
  }

  get(step: string, path: string, options?: StepOptions): Promise<Answer> { return this.#step(step, 'GET', path, undefined, options) }
  post(step: string, path: string, body?: unknown, options?: StepOptions): Promise<Answer> { return this.#step(step, 'POST', path, body, options) }
  put(step: string, path: string, body?: unknown, options?: StepOptions): Promise<Answer> { return this.#step(step, 'PUT', path, body, options) }
  delete(step: string, path: string, options?: StepOptions): Promise<Answer> { return this.#step(step, 'DELETE', path, undefined, options) }
  random(): number { return this.#grounds.random() }
  chance(part: number): boolean { return this.#grounds.random() < part }
  pick<T>(list: readonly T[]): T { return list[Math.floor(this.#grounds.random() * assertSome(list).length)]! }
  popular<T>(list: readonly T[], exponent = 1): T { return list[zipfRank(this.#grounds.random, assertSome(list).length, exponent)]! }
  unique(): string { return this.#grounds.unique() }

  async #step(name: string, method: string, path: string, body: unknown, options: StepOptions = {}): Promise<Answer> {
    const { sender, timeoutMs, ledger } = this.#grounds
    const step = `${this.#journey.name}/${name}`
    if (!pathPattern.test(path)) throw new Error(`step '${step}': the path '${path}' has characters that a path cannot have; use encodeURIComponent`)
    const intendedMs = await this.#think(options)
    const tally = this.#grounds.tally()
    const lateMs = monotonicMs() - intendedMs
    if (tally) {
      tally.offered++
      tally.lateness.record(Math.max(0, lateMs))
      if (lateMs > this.#grounds.lateMs) tally.late++
    }
    const request = { method, path, headers: this.#headersOf(body, options, step), ...body === undefined ? {} : { body: JSON.stringify(body) } }
    const incoming = await sender.send(request, intendedMs + timeoutMs)
    const answeredMs = monotonicMs()
    this.#freeMs = answeredMs
    const code = typeof incoming === 'string' ? incoming : String(incoming.status)
    const outcome = outcomeOf(incoming, options)
    // Asked for anew: meanwhile another second may have begun.
    const counted = this.#grounds.tally()
    counted?.step(step).count(outcome, code, answeredMs - intendedMs)
    if (typeof incoming === 'string' || outcome !== 'good') {
      if (tally) throw new JourneyOver(`${step} was answered ${code}`, true)
      throw fault('UNAVAILABLE', `${step}: ${method} ${path} was answered ${code === 'broken' ? 'by nobody' : code}${typeof incoming === 'string' ? '' : ` ${incoming.body.toString().slice(0, 300)}`}`)
    }
    const answer = this.#read(incoming)
    if (options.found && counted) {
      ledger?.append({ at: new Date(now()).toISOString(), step, expect: options.found(answer) })
      counted.acknowledged++
    }
    return answer
  }

  /** Resolves at the moment the step is due, and tells that moment. */
  async #think({ thinkMs = this.#journey.thinkMs }: StepOptions): Promise<number> {
    const { agenda, random, think } = this.#grounds
    const isFirst = this.#isFirst
    this.#isFirst = false
    if (this.#grounds.hasEnded()) throw new JourneyOver('the run has ended', false)
    // While things are prepared nobody waits, and nothing is late.
    if (!this.#grounds.tally()) return monotonicMs()
    const intendedMs = this.#freeMs + (isFirst || thinkMs === 0 ? 0 : exponential(random, thinkMs * think))
    if (intendedMs > monotonicMs()) await agenda.until(intendedMs)
    if (this.#grounds.hasEnded()) throw new JourneyOver('the run has ended', false)
    return intendedMs
  }

  #headersOf(body: unknown, options: StepOptions, step: string): Record<string, string> {
    const cookie = this.#jar.header()
    const headers: Record<string, string> = {
      accept: 'application/json', 'user-agent': 'tenfold-load', ...body === undefined ? {} : { 'content-type': 'application/json' },
      ...cookie === undefined ? {} : { cookie }, ...this.headers, ...options.headers,
    }
    for (const [name, value] of Object.entries(headers)) if (!headerPattern.test(value)) throw new Error(`step '${step}': the header ${name} has characters that a header cannot have`)
    return headers
  }

  #read({ status, headLines, body }: IncomingAnswer): Answer {
    const headers: Record<string, string> = {}
    for (const line of headLines) {
      const at = line.indexOf(':')
      const [name, value] = [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()]
      if (name === 'set-cookie') this.#jar.take(value)
      else headers[name] = value
    }
    let text: string | undefined
    return { status, headers, get text() { return text ??= body.toString() }, json<T>() { return JSON.parse(this.text) as T } }
  }
}

function assertSome<T>(list: readonly T[]): readonly T[] {
  if (list.length === 0) throw fault('USAGE', 'a journey picks from an empty list; fill the application with data first')
  return list
}

function outcomeOf(incoming: IncomingAnswer | 'timeout' | 'broken', { expect }: StepOptions): Outcome {
  if (typeof incoming === 'string') return 'failed'
  if (expect ? expect.includes(incoming.status) : incoming.status < 400) return 'good'
  return incoming.status === 429 || incoming.status === 503 ? 'refused' : 'failed'
}
