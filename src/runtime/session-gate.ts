/**
 * Sessions at the edge: whose session a request comes with, and what becomes of it when its
 * command has committed. The client has the id, in a cookie; the server its hash.
 *
 * While the engine that keeps them is away, who comes with a session is refused (UNAVAILABLE),
 * for nobody knows whether it has been ended; who comes without one is answered.
 */
import { hash } from 'node:crypto'
import { randomBytes } from '../base/random.ts'
import { sessionCookie } from '../model/session.ts'
import type { SessionChange, SessionOptions } from '../model/session.ts'
import type { RequestHead } from '../ports/ingress.ts'
import type { Sessions } from '../ports/session.ts'
import type { Caller } from '../ports/transport.ts'
import { one } from './request.ts'

/** 256 bits. */
const idBytes = 32
const pattern = new RegExp(`(?:^|;\\s*)${sessionCookie}=([\\w-]{43})(?:;|$)`)
const attributes = 'Path=/; Secure; HttpOnly; SameSite=Lax'

type Change = SessionChange<unknown, Caller | null>
type Headers = RequestHead['headers']

/** A copy of what the engine keeps lets nobody in. */
const keyOf = (id: string): string => hash('sha256', id, 'base64url')
const newId = (): string => randomBytes(idBytes).toString('base64url')

export class SessionGate {
  readonly #sessions: Sessions
  readonly #options: SessionOptions

  constructor(sessions: Sessions, options: SessionOptions) {
    this.#sessions = sessions
    this.#options = options
  }

  /** True when the request names a session, living or not. */
  hasSession(headers: Headers): boolean { return idOf(headers) !== undefined }

  async callerOf(headers: Headers): Promise<Caller | null> {
    const id = idOf(headers)
    const state = id === undefined ? null : await this.#sessions.use(keyOf(id))
    return state && JSON.parse(state.claims) as Caller
  }

  /** Makes the change; the cookie to set, or null when the client keeps what it has. Done again it comes to the same. */
  async change(change: Change, facts: { readonly output: unknown; readonly user: Caller | null }, headers: Headers): Promise<string | null> {
    const id = idOf(headers)
    const subject = change.endAll?.(facts)
    if (subject !== undefined) await this.#sessions.endAll(subject)
    if (change.end || change.begin) if (id !== undefined) await this.#sessions.end(keyOf(id))
    if (change.begin) return this.#begin(change.begin(facts))
    if (change.rotate && id !== undefined) {
      const next = newId()
      if (await this.#sessions.rotate(keyOf(id), keyOf(next), JSON.stringify(change.rotate(facts)))) return this.#cookie(next)
    }
    // Whoever's session is over needs its cookie no more.
    return change.end ? `${sessionCookie}=; Max-Age=0; ${attributes}` : null
  }

  async #begin(caller: Caller): Promise<string> {
    const id = newId()
    await this.#sessions.begin(keyOf(id), { subject: caller.id, claims: JSON.stringify(caller) }, this.#options)
    return this.#cookie(id)
  }

  /** The server ends it earlier, when its time is over. */
  #cookie(id: string): string { return `${sessionCookie}=${id}; Max-Age=${Math.floor(this.#options.absoluteMs / 1_000)}; ${attributes}` }
}

function idOf(headers: Headers): string | undefined {
  const cookie = one(headers['cookie'])
  return cookie?.includes(sessionCookie) ? pattern.exec(cookie)?.[1] : undefined
}
