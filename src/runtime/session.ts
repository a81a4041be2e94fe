/**
 * What a session may rely on (I5): after a write it gets a token with the position of the
 * log, and a read that shows a read model waits, for a bounded time, until that model has
 * what the token names. Never an older answer: PROJECTION_BEHIND instead.
 */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus } from '../ports/bus.ts'
import type { Database } from '../ports/database.ts'
import { mergeTokens } from './token.ts'
import type { Token, TokenCodec } from './token.ts'

export interface SessionOptions {
  readonly database: Database
  readonly bus: Bus
  readonly tokens: TokenCodec
}

export class Session {
  readonly #options: SessionOptions
  /** Per projection, the newest position it is known to show: later reads need not ask. */
  readonly #shown = new Map<string, bigint>()

  constructor(options: SessionOptions) {
    this.#options = options
  }

  async tokenAfterWrite(before: string | undefined): Promise<string> {
    const { tokens, database } = this.#options
    const position = await database.position()
    return tokens.encode(mergeTokens(before ? tokens.decode(before) : null, { epoch: 0, positions: [position] }))
  }

  async awaitProjections(projections: readonly Projection[], text: string): Promise<void> {
    const token = this.#options.tokens.decode(text)
    if (token) await Promise.all(projections.map(projection => this.#awaitOne(projection.name, token)))
  }

  async #awaitOne(name: string, token: Token): Promise<void> {
    const wanted = token.positions.reduce((newest, { lsn }) => lsn > newest ? lsn : newest, 0n)
    if ((this.#shown.get(name) ?? -1n) >= wanted) return
    if (!await this.#options.bus.caughtUp(name, limits.projectionWaitMs)) {
      throw fault('PROJECTION_BEHIND', `${name} has not caught up within ${limits.projectionWaitMs} ms`, { retryAfterMs: 1_000 })
    }
    if ((this.#shown.get(name) ?? -1n) < wanted) this.#shown.set(name, wanted)
  }
}
