/**
 * What a session may rely on (I5): after a write it gets a token with the position of the
 * log, and a read that shows a read model waits, for a bounded time, until that model has
 * what the token names. Never an older answer: PROJECTION_BEHIND instead.
 */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Projection } from '../model/projection.ts'
import type { Bus } from '../ports/bus.ts'
import type { Database, Position } from '../ports/database.ts'
import { mergeTokens } from './token.ts'
import type { TokenCodec } from './token.ts'

export interface SessionOptions {
  readonly database: Database
  readonly bus: Bus
  readonly tokens: TokenCodec
}

export class Session {
  readonly #options: SessionOptions

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
    if (token) await Promise.all(projections.flatMap(({ name }) => token.positions.map(position => this.#awaitOne(name, position))))
  }

  /** The bus remembers what each read model shows: most calls ask it nothing but that. */
  async #awaitOne(name: string, position: Position): Promise<void> {
    if (await this.#options.bus.caughtUp(name, limits.projectionWaitMs, position)) return
    throw fault('PROJECTION_BEHIND', `${name} has not caught up within ${limits.projectionWaitMs} ms`, { retryAfterMs: 1_000 })
  }
}
