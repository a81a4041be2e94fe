/**
 * Who a browser is to the admin port: a signed cookie, which lasts half a day and needs no
 * memory, and the token made of it that each action must carry (CSRF). A page of another
 * origin can neither read that token nor send the header.
 *
 *   guest    given to whoever asks, where no token is needed to look
 *   member   given for the token of the data folder
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import { randomHex } from '../base/random.ts'
import { now } from '../base/time.ts'

export type SessionKind = 'guest' | 'member'

export interface Session { readonly kind: SessionKind; readonly cookie: string; readonly csrf: string }

const lifeMs = 12 * 3_600_000

export function sameText(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}

export class Sessions {
  readonly #key: string
  /** Browsers send a cookie to every port of a host: each deployment has one of its own. */
  readonly #name: string

  constructor(adminToken: string, port: number) {
    this.#key = adminToken
    this.#name = `tenfold_admin_${port}`
  }

  #sign(text: string): string { return createHmac('sha256', this.#key).update(text).digest('base64url') }

  #of(kind: SessionKind, cookie: string): Session { return { kind, cookie, csrf: this.#sign(`csrf ${cookie}`) } }

  begin(kind: SessionKind): Session {
    const text = `${kind}.${now() + lifeMs}.${randomHex(16)}`
    return this.#of(kind, `${text}.${this.#sign(`session ${text}`)}`)
  }

  /** The session of a request's cookie; null without a valid one. */
  read(header: string | undefined): Session | null {
    const cookie = header?.split(/; */).find(one => one.startsWith(`${this.#name}=`))?.slice(this.#name.length + 1)
    const [kind, untilMs, random, signature] = cookie?.split('.') ?? []
    if (!cookie || !signature || (kind !== 'guest' && kind !== 'member')) return null
    if (!sameText(signature, this.#sign(`session ${kind}.${untilMs}.${random}`)) || Number(untilMs) < now()) return null
    return this.#of(kind, cookie)
  }

  /** The value of Set-Cookie; null takes the cookie away. */
  header(session: Session | null): string {
    return `${this.#name}=${session?.cookie ?? ''}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${session ? lifeMs / 1000 : 0}`
  }
}
