/**
 * What a session may rely on (I5): after a write it gets a token with the position of the
 * log, and a read that shows a read model waits, for a bounded time, until that model has
 * what the token names. Never an older answer: PROJECTION_BEHIND instead. Where answers may
 * come from a cache, a read moves the token on as well, so that no later answer is older.
 */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { monotonicMs, now } from '../base/time.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus } from '../ports/bus.ts'
import type { Database, Position } from '../ports/database.ts'
import { isLiving, isNewer, mergeTokens } from './token.ts'
import type { Token, TokenCodec } from './token.ts'

export interface SessionOptions {
  readonly database: Database
  readonly bus: Bus
  readonly tokens: TokenCodec
}

/** A token that still counts, as it came and as it was read. */
export interface LivingToken { readonly text: string; readonly token: Token }

/** A position this old is asked for anew when something is read for the cache. */
const sampleMs = 250
const nowhere: Position = { shard: 0, timeline: 0, lsn: -1n }

export class Session {
  readonly #options: SessionOptions
  /** Per read model, a position that it is known to show. */
  readonly #shown = new Map<string, Position>()
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
    return tokens.encode(mergeTokens(before ? tokens.decode(before) : null, { epoch: 0, wroteAtMs: now(), positions: [position] }))
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

  #learn(position: Position): void {
    if (!this.#latest || isNewer(position, this.#latest)) this.#latest = position
    this.#sampledAtMs = monotonicMs()
  }

  /** What a read that starts now is sure to show, read models included: positions taken earlier. Empty when none is known. */
  floor(projections: readonly Projection[]): readonly Position[] {
    for (const { name } of projections) if (!this.#shown.has(name)) this.#shown.set(name, nowhere)
    if (monotonicMs() - this.#sampledAtMs > sampleMs) {
      this.#sampledAtMs = monotonicMs()
      this.#sample().catch(() => {})
    }
    let floor = this.#latest
    for (const { name } of projections) {
      const shown = this.#shown.get(name)!
      if (floor && isNewer(floor, shown)) floor = shown
    }
    return floor === null || floor === nowhere ? [] : [floor]
  }

  async #sample(): Promise<void> {
    const position = await this.position()
    for (const name of this.#shown.keys()) {
      if (await this.#options.bus.caughtUp(name, sampleMs, position)) this.#shown.set(name, position)
    }
  }

  async awaitProjections(projections: readonly Projection[], text: string): Promise<void> {
    const token = this.#options.tokens.decode(text)
    if (token) await Promise.all(projections.flatMap(({ name }) => token.positions.map(position => this.#awaitOne(name, position))))
  }

  /** The bus remembers what each read model shows: most calls ask it nothing but that. */
  async #awaitOne(name: string, position: Position): Promise<void> {
    if (await this.#options.bus.caughtUp(name, limits.projectionWaitMs, position)) return
    throw fault('PROJECTION_BEHIND', `${name} has not caught up within ${limits.projectionWaitMs} ms`, { retryAfterMs: 1_000 })
  }
}
