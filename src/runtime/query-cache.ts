/**
 * Answers of queries, kept serialised. Decides whether a kept answer may be given to a
 * session, lets one read run per key however many ask, and remembers that there is no such
 * thing as well.
 *
 *   kept and fresh ─▶ given        kept and stale ─▶ given, and one refresh runs
 *   no longer true, but read less than its lag ago ─▶ given to nobody in particular only; half of
 *     the lag after it was read it is stale, so that what changes all the time is read rarely
 *   not kept, or older than what the session has seen ─▶ read; those who ask meanwhile wait
 *     for the same read, if it shows what they have seen
 *   Where processes share a second tier (shared-tier.ts), it is looked there first; a session
 *     that may be given nothing of it reads at once, others wait for whom it is read by.
 */
import { hash } from 'node:crypto'
import { fault, isTenfoldError } from '../base/errors.ts'
import type { ErrorDetails, TenfoldError } from '../base/errors.ts'
import { jsonOf } from '../base/json-text.ts'
import type { Logger } from '../base/log.ts'
import { randomFraction } from '../base/random.ts'
import { now } from '../base/time.ts'
import { missingMsDefault } from '../model/freshness.ts'
import type { Freshness } from '../model/freshness.ts'
import type { Projection } from '../model/projection.ts'
import type { Cache, CacheEntry, CacheNote, Lag } from '../ports/cache.ts'
import type { Position } from '../ports/database.ts'
import type { IntentMeter } from './intent-meter.ts'
import type { Invalidation } from './invalidation.ts'
import type { LivingToken, Reading, Session } from './session.ts'
import type { SharedTier } from './shared-tier.ts'
import type { Span } from './span.ts'
import { isBeyond } from './token.ts'

/** One question, as the cache sees it. */
export interface Question {
  readonly key: string
  readonly freshness: Freshness
  readonly reads: readonly Projection[]
  readonly session: LivingToken | null
  /** True when it is asked from outside by nobody in particular, who may be given what lags. */
  readonly mayLag: boolean
  readonly meter: IntentMeter | null
  /** Where it is written down how the cache answered. */
  readonly span: Span
  /** Where it is read. */
  reading(): Reading | Promise<Reading>
  /** Runs the query, for who asked or for those to come; its output fits its schema. */
  read(isRefresh: boolean, reading: Reading): Promise<unknown>
  tags(output: unknown): readonly string[]
}

export type Kept = Pick<CacheEntry, 'key' | 'value' | 'note'>

interface Flight {
  readonly result: Promise<Kept>
  readonly positions: readonly Position[]
  readonly readFor: string | null
  readonly span: Span
}

export interface QueryCacheOptions {
  readonly cache: Cache
  /** Null where no other process shares what is kept. */
  readonly shared?: SharedTier | null
  readonly session: Session
  readonly invalidation: Invalidation
  readonly log: Logger
  /** False where a CDN stands in front: what it is given it keeps, and so nothing may lag. Default true. */
  readonly lags?: boolean
  /** False is the negative control of the consistency test: any kept answer is given to anybody. */
  readonly stamps?: boolean
  /** False is the negative control of the flush test: everyone who asks reads. */
  readonly singleFlight?: boolean
}

/** So much of a freshness is left to chance, that what was kept together does not expire together. */
const jitter = 0.1

export class QueryCache {
  readonly #options: QueryCacheOptions
  readonly #flights = new Map<string, Flight>()
  /** A position taken after an answer was read: at or beyond everything it shows. */
  readonly #ceilings = new WeakMap<Kept, Promise<Position>>()
  /** Where answers were read that a replica gave. */
  readonly #readings = new WeakMap<Kept, Reading>()
  /** The generation of the shared tier that what is read here shows. */
  #sharedGeneration = 0

  constructor(options: QueryCacheOptions) {
    this.#options = options
  }

  /** The kept answer, when it may be given to nobody in particular and nothing need be done for it. */
  peek(key: string): CacheEntry | null {
    if (!this.#options.invalidation.isCoherent) return null
    const entry = this.#options.cache.get(key)
    return entry === null || entry instanceof Promise || (isDue(entry) && !this.#flights.has(key)) ? null : entry
  }

  async answer(question: Question): Promise<Kept> {
    const kept = await this.#kept(question)
    return kept ?? this.#read(question, false)
  }

  /** The token to give with an answer from here. */
  async tokenWith(session: LivingToken, kept: Kept): Promise<string> {
    let ceiling = this.#ceilings.get(kept)
    if (!ceiling) {
      this.#ceilings.set(kept, ceiling = (this.#readings.get(kept) ?? this.#options.session).shown())
      ceiling.catch(() => this.#ceilings.delete(kept))
    }
    return this.#options.session.tokenAfterRead(session, await ceiling)
  }

  async #kept(question: Question): Promise<Kept | null> {
    const { cache, invalidation, log } = this.#options
    if (!invalidation.isCoherent) return null
    const found = cache.get(question.key)
    const entry = found instanceof Promise ? await found : found
    if (!entry || (entry.isOutdated && !question.mayLag) || !this.#shows(entry.note, question.session)) return null
    const isStale = isStaleOf(entry)
    question.meter?.cache?.[isStale ? 'stale' : 'hit'].add()
    question.span.cache = isStale ? 'stale' : 'hit'
    if (isDue(entry) && !this.#flights.has(question.key)) {
      this.#read(question, true).catch((error: unknown) => log.debug({ err: error, key: question.key }, 'a stale answer could not be refreshed'))
    }
    return entry
  }

  #shows({ positions, readFor }: Pick<CacheNote, 'positions' | 'readFor'>, session: LivingToken | null): boolean {
    return session === null || this.#options.stamps === false || readFor === session.text || isBeyond(positions, session.token)
  }

  #read(question: Question, isRefresh: boolean): Promise<Kept> {
    const { key, session, reads, span, meter } = question
    const running = this.#flights.get(key)
    const joins = running !== undefined && this.#options.singleFlight !== false && this.#shows(running, session)
    if (joins) {
      span.cache = 'wait'
      if (!isRefresh) meter?.cache?.coalesced.add()
      if (span.trace.isRecording) span.links = [running.span.traceparent]
      // What comes may be older than was expected: kept by others, or read elsewhere.
      return this.#options.shared ? running.result.then(kept => this.#shows(kept.note, session) ? kept : this.#read(question, isRefresh)) : running.result
    }
    const reading = this.#options.shared ? null : question.reading()
    // Where it is read is not known yet: nobody else can know what it will show.
    const positions = reading instanceof Promise ? [] : this.#options.session.floor(reads, reading?.reader ?? { shows: null })
    const result = (reading === null ? this.#find(question, isRefresh) : this.#readHere(question, reading, positions, isRefresh)).finally(() => { if (this.#flights.get(key)?.result === result) this.#flights.delete(key) })
    this.#flights.set(key, { result, positions, readFor: session?.text ?? null, span })
    return result
  }

  /** In the shared tier, or else read. */
  async #find(question: Question, isRefresh: boolean): Promise<Kept> {
    const { cache, invalidation } = this.#options
    const shared = this.#options.shared!
    const { key, session, span, meter } = question
    if (invalidation.isCoherent) {
      let [generation, beganAtMs] = [cache.begin(), now()]
      const begin = () => { [generation, beganAtMs] = [cache.begin(), now()] }
      const found = await shared.find({ key, begin, waits: session === null, suits: note => this.#shows(note, session) })
      if (found) {
        const isStale = found.note.freshUntilMs <= now()
        span.cache = isStale ? 'stale' : 'hit'
        if (!isRefresh) meter?.cache?.[isStale ? 'stale' : 'hit'].add()
        await cache.set({ key, value: found.value, note: { ...found.note, lag: this.#lagOf(question, found.note.refusal, beganAtMs) }, generation, ttlMs: found.expiresAtMs - now() })
        return found
      }
    }
    // The shared tier may have been told to forget what this process will hear of only later: a replica must have that too.
    const sharedGeneration = shared.begin()
    if (sharedGeneration !== this.#sharedGeneration) this.#options.session.forget()
    this.#sharedGeneration = sharedGeneration
    const reading = question.reading()
    const positions = reading instanceof Promise ? [] : this.#options.session.floor(question.reads, reading.reader)
    return this.#readHere(question, reading, positions, isRefresh, sharedGeneration).catch((error: unknown) => { shared.leave(key); throw error })
  }

  #readHere(question: Question, reading: Reading | Promise<Reading>, positions: readonly Position[], isRefresh: boolean, sharedGeneration = 0): Promise<Kept> {
    if (!isRefresh) {
      question.span.cache = 'miss'
      question.meter?.cache?.miss.add()
    }
    return this.#readAndKeep(question, reading, positions, isRefresh, sharedGeneration)
  }

  async #readAndKeep(question: Question, chosen: Reading | Promise<Reading>, known: readonly Position[], isRefresh: boolean, sharedGeneration: number): Promise<Kept> {
    const { cache, shared, invalidation } = this.#options
    const { key, freshness, session } = question
    const [generation, beganAtMs] = [cache.begin(), now()]
    const reading = chosen instanceof Promise ? await chosen : chosen
    const positions = chosen === reading ? known : this.#options.session.floor(question.reads, reading.reader)
    const outcome = await question.read(isRefresh, reading).then(output => ({ output }), (error: unknown) => ({ refusal: missing(error) }))
    const refusal = 'refusal' in outcome
    const value = Buffer.from(refusal ? refusalText(outcome.refusal) : jsonOf(outcome.output) ?? 'null')
    const freshMs = refusal ? Math.min(freshness.freshMs, freshness.missingMs ?? missingMsDefault) : freshness.freshMs
    const ttlMs = freshMs * (1 - jitter * randomFraction())
    const note: CacheNote = {
      freshUntilMs: now() + ttlMs, positions, readFor: session?.text ?? null, refusal,
      etag: `"${hash('sha1', value, 'base64url')}"`, tags: question.tags(refusal ? null : outcome.output), lag: this.#lagOf(question, refusal, beganAtMs),
    }
    // Kept also when nobody was heard meanwhile? No: what was missed would never be forgotten.
    if (invalidation.isCoherent && ttlMs > 0) {
      const entry = { key, value, note, ttlMs: ttlMs + (refusal ? 0 : freshness.staleMs ?? 0) }
      shared?.keep({ ...entry, generation: sharedGeneration })
      await cache.set({ ...entry, generation })
    } else shared?.leave(key)
    const kept = { key, value, note }
    if (reading.isOneOfSeveral) this.#readings.set(kept, reading)
    return kept
  }

  /** Counted from when it was known to be true. That there is no such thing never lags. */
  #lagOf({ freshness: { lagMs = 0 } }: Question, isRefusal: boolean, trueAtMs: number): Lag | null {
    return lagMs === 0 || isRefusal || this.#options.lags === false ? null : { untilMs: trueAtMs + lagMs, renewAtMs: trueAtMs + lagMs / 2 }
  }
}

/** Given on although it is not quite fresh. */
export const isStaleOf = ({ isOutdated, note }: CacheEntry): boolean => isOutdated || note.freshUntilMs <= now()

/** To be read anew, by the next who asks. */
const isDue = ({ isOutdated, note }: CacheEntry): boolean => (isOutdated ? note.lag!.renewAtMs : note.freshUntilMs) <= now()

/** Passes NOT_FOUND on as something to remember; everything else is thrown on. */
function missing(error: unknown): TenfoldError {
  if (isTenfoldError(error) && error.code === 'NOT_FOUND') return error
  throw error
}

const refusalText = ({ message, fields, issues }: TenfoldError): string => JSON.stringify({ message, fields, issues })

export function refusalOf({ value }: Kept): TenfoldError {
  const { message, ...details } = JSON.parse(value.toString()) as ErrorDetails & { readonly message: string }
  return fault('NOT_FOUND', message, details)
}

/** What a kept answer says: its value, or its refusal thrown again. */
export function outputOf(kept: Kept): unknown {
  if (kept.note.refusal) throw refusalOf(kept)
  return JSON.parse(kept.value.toString()) as unknown
}
