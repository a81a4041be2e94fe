/**
 * What a session may rely on (I5): after a write it gets a token with the position of the
 * log, and a read that shows a read model waits, for a bounded time, until that model has
 * what the token names. Never an older answer: PROJECTION_BEHIND instead. Where answers may
 * come from a cache, a read moves the token on as well, so that no later answer is older.
 */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { agreedNow, monotonicMs } from '../base/time.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus } from '../ports/bus.ts'
import { primaryServer } from '../ports/database.ts'
import type { Database, Position, Reader } from '../ports/database.ts'
import { isLiving, isNewer, mergeTokens } from './token.ts'
import type { Token, TokenCodec } from './token.ts'

export interface SessionOptions {
  readonly database: Database
  readonly bus: Bus
  readonly tokens: TokenCodec
  /** False is the negative control of the consistency test: any replica is read, whatever the session has seen. */
  readonly awaitsReplicas?: boolean
}

/** A token that still counts, as it came and as it was read. */
export interface LivingToken { readonly text: string; readonly token: Token }

/** Where one run of a query reads, and what its session must see from then on. */
export class Reading {
  readonly reader: Reader
  /** Set when it has called another intent, which may have read elsewhere. */
  called = false
  readonly #session: Session

  constructor(reader: Reader, session: Session) {
    this.reader = reader
    this.#session = session
  }

  /** True when the session's token moves on with what it read: another server may be behind. */
  get isOneOfSeveral(): boolean { return this.reader.shows !== null }

  /** A position that covers everything it has been shown. */
  shown(): Promise<Position> { return this.reader.server !== primaryServer && !this.called ? this.reader.shown() : this.#session.position() }
}

export interface ReadingOptions {
  readonly session: LivingToken | null
  readonly reads: readonly Projection[]
  readonly readsAt: string | undefined
  /** The answer is kept: it must show whatever has been forgotten here. */
  readonly isKept: boolean
}

/** A read model showed `shown` when the log was at `provedAt`. */
interface Proof { readonly shown: Position; readonly provedAt: Position }

/** A position this old is asked for anew when something is read for the cache. */
const sampleMs = 250
const nowhere: Position = { shard: 0, timeline: 0, lsn: -1n }

export class Session {
  readonly #options: SessionOptions
  /** Per read model, the latest two positions that it is known to show, the newer first. */
  readonly #shown = new Map<string, readonly Proof[]>()
  #usesReplicas = false
  /** How often caches here have forgotten something; and a position that covers as many. */
  #forgotten = 0
  #covered: { readonly forgotten: number; readonly at: Position } | null = null
  #latest: Position | null = null
  #sampledAtMs = -Infinity

  constructor(options: SessionOptions) {
    this.#options = options
  }

  /** The token of a call, unless it has none, it is not ours, or its time is over. */
  living(text: string | undefined): LivingToken | null {
    const token = text ? this.#options.tokens.decode(text) : null
    return token && isLiving(token) ? { text: text!, token } : null
  }

  /** `committed` is a position that covers the write; without one it is asked for. */
  async tokenAfterWrite(before: string | undefined, committed: Position | null = null): Promise<string> {
    const { tokens } = this.#options
    if (committed) this.#learn(committed)
    const position = committed ?? await this.position()
    return tokens.encode(mergeTokens(before ? tokens.decode(before) : null, { epoch: 0, wroteAtMs: agreedNow(), positions: [position] }))
  }

  /** The token of a session that has been shown what lay at or below this position; the same text when it names as much already. */
  tokenAfterRead({ text, token }: LivingToken, position: Position): string {
    const merged = mergeTokens(token, { epoch: 0, wroteAtMs: 0, positions: [position] })
    const known = token.positions.find(one => one.shard === position.shard)
    const isNews = !merged.positions.some(one => one === known)
    return isNews ? this.#options.tokens.encode(merged) : text
  }

  /** A position that covers everything shown to anybody before the call. */
  async position(): Promise<Position> {
    const position = await this.#options.database.position()
    this.#learn(position)
    return position
  }

  /** The same, for who does not know where it was read. */
  shown(): Promise<Position> { return this.position() }

  #learn(position: Position): void {
    if (!this.#latest || isNewer(position, this.#latest)) this.#latest = position
    this.#sampledAtMs = monotonicMs()
  }

  /** Something kept here is no longer true: what is kept from now on must show why. */
  forget(): void { this.#forgotten++ }

  /** Where a query reads. At once, unless a replica has to be waited for or more must be known before one may be asked. */
  reading(service: string, options: ReadingOptions): Reading | Promise<Reading> {
    const { session, reads, readsAt: server, isKept } = options
    const awaits = this.#options.awaitsReplicas !== false
    const after = awaits ? [...session?.token.positions ?? [], ...isKept && this.#covered ? [this.#covered.at] : []] : []
    const reader = this.#options.database.reader(service, { after, server })
    if (!(reader instanceof Promise) && reader.shows === null) return new Reading(reader, this)
    this.#usesReplicas = true
    if (!(reader instanceof Promise) && reader.server === primaryServer) return new Reading(reader, this)
    const isUncovered = isKept && this.#forgotten > (this.#covered?.forgotten ?? 0)
    if (awaits && (isUncovered || (session !== null && reads.length > 0))) {
      // Another is chosen below: what becomes of this one is nobody's business, and no fault of the program.
      if (reader instanceof Promise) reader.catch(() => {})
      return this.#informed(service, options, after)
    }
    return reader instanceof Promise ? reader.then(one => new Reading(one, this)) : new Reading(reader, this)
  }

  /** A replica shows a read model as it is here, and what an invalidation was about, when it has come as far as the primary is now. */
  async #informed(service: string, { session, reads, readsAt: server, isKept }: ReadingOptions, after: readonly Position[]): Promise<Reading> {
    if (session !== null && reads.length > 0) await this.awaitProjections(reads, session.text)
    const forgotten = this.#forgotten
    const at = await this.position()
    if (isKept && forgotten > (this.#covered?.forgotten ?? 0)) this.#covered = { forgotten, at }
    return new Reading(await this.#options.database.reader(service, { after: [...after, at], server }), this)
  }

  /** What a read that starts now is sure to show there, read models included: positions taken earlier. Empty when none is known. */
  floor(projections: readonly Projection[], { shows }: Pick<Reader, 'shows'>): readonly Position[] {
    for (const { name } of projections) if (!this.#shown.has(name)) this.#shown.set(name, [])
    if (monotonicMs() - this.#sampledAtMs > sampleMs) {
      this.#sampledAtMs = monotonicMs()
      this.#sample().catch(() => {})
    }
    let floor = shows ?? this.#latest
    for (const { name } of projections) {
      const shown = this.#shown.get(name)!.find(({ provedAt }) => shows === null || !isNewer(provedAt, shows))?.shown ?? nowhere
      if (floor && isNewer(floor, shown)) floor = shown
    }
    return floor === null || floor === nowhere ? [] : [floor]
  }

  async #sample(): Promise<void> {
    const position = await this.position()
    const names: string[] = []
    for (const name of this.#shown.keys()) if (await this.#options.bus.caughtUp(name, sampleMs, position)) names.push(name)
    const provedAt = this.#usesReplicas ? await this.position() : position
    for (const name of names) this.#shown.set(name, [{ shown: position, provedAt }, ...this.#shown.get(name)!.slice(0, 1)])
  }

  async awaitProjections(projections: readonly Projection[], text: string): Promise<void> {
    const token = this.#options.tokens.decode(text)
    if (token) await Promise.all(projections.flatMap(({ name }) => token.positions.map(position => this.#awaitOne(name, position))))
  }

  /** True when read models show what is there now; false when they do not within the time. */
  async isSettled(projections: readonly Projection[], timeoutMs: number): Promise<boolean> {
    const position = await this.#options.database.position()
    const settled = await Promise.all(projections.map(({ name }) => this.#options.bus.caughtUp(name, timeoutMs, position)))
    return settled.every(one => one)
  }

  /** The bus remembers what each read model shows: most calls ask it nothing but that. */
  async #awaitOne(name: string, position: Position): Promise<void> {
    if (await this.#options.bus.caughtUp(name, limits.projectionWaitMs, position)) return
    throw fault('PROJECTION_BEHIND', `${name} has not caught up within ${limits.projectionWaitMs} ms`, { retryAfterMs: 1_000 })
  }
}
