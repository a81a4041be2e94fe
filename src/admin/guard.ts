/**
 * Who may do what at the admin port. To look is free on loopback and takes the token of the
 * data folder elsewhere; to change something takes that token, which the CLI sends as a
 * bearer, or a session of the console with its CSRF token. A name that is not this machine's
 * is refused as Host on loopback: DNS can be made to say that anything is 127.0.0.1.
 */
import type { IncomingMessage } from 'node:http'
import { fault } from '../base/errors.ts'
import type { AdminRoute } from './route.ts'
import { sameText, Sessions } from './session.ts'
import type { Session } from './session.ts'

export interface GuardOptions {
  readonly adminToken: string
  readonly host: string
  readonly port: number
  /** True: the token is asked for on loopback too, for machines that are shared. */
  readonly login?: boolean
}

export const csrfHeader = 'tenfold-csrf'
const loopback = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/

export const isLoopback = (host: string): boolean => loopback.test(host.includes(':') && !host.startsWith('[') ? `[${host}]` : host)

export class Guard {
  readonly sessions: Sessions
  /** True when looking takes the token. */
  readonly needsLogin: boolean
  readonly #token: string
  readonly #local: boolean

  constructor({ adminToken, host, port, login = false }: GuardOptions) {
    this.sessions = new Sessions(adminToken, port)
    this.#token = adminToken
    this.#local = isLoopback(host)
    this.needsLogin = login || !this.#local
  }

  isToken(token: string): boolean { return sameText(token, this.#token) }

  /** The session that counts: a guest's is none where a token is asked for. */
  sessionOf({ headers }: IncomingMessage): Session | null {
    const session = this.sessions.read(headers.cookie)
    return session?.kind === 'guest' && this.needsLogin ? null : session
  }

  check(request: IncomingMessage, { method, path, open = false }: AdminRoute): void {
    if (this.#isBearer(request)) return
    const session = this.sessionOf(request)
    if (!open && this.needsLogin && session?.kind !== 'member') throw fault('UNAUTHENTICATED', `${method} ${path} takes the header 'Authorization: Bearer <token>' of this deployment's data folder, or a session of the console; 'tenfold console' prints the token`)
    if (method === 'GET') return
    this.#assertSameOrigin(request)
    if (open) return
    if (!session) throw fault('UNAUTHENTICATED', `${method} ${path} takes the header 'Authorization: Bearer <token>' of this deployment's data folder; 'tenfold restart' sends it when TENFOLD_DATA names the same folder`)
    if (!sameText(String(request.headers[csrfHeader] ?? ''), session.csrf)) throw fault('FORBIDDEN', `${method} ${path} takes the header '${csrfHeader}' with what GET /session says: load the page again`)
  }

  assertHost({ headers }: IncomingMessage): void {
    if (!this.#local) return
    const name = (headers.host ?? '').replace(/:\d+$/, '').toLowerCase()
    if (!loopback.test(name)) throw fault('FORBIDDEN', `the admin port answers to localhost and 127.0.0.1 only, not to '${name}'`)
  }

  #isBearer({ headers }: IncomingMessage): boolean {
    return headers.authorization?.startsWith('Bearer ') === true && this.isToken(headers.authorization.slice('Bearer '.length))
  }

  #assertSameOrigin({ headers }: IncomingMessage): void {
    const site = headers['sec-fetch-site']
    const foreign = headers.origin !== undefined ? !sameOrigin(headers.origin, headers.host) : site !== undefined && site !== 'same-origin'
    if (foreign) throw fault('FORBIDDEN', `a page of ${headers.origin ?? 'another origin'} may not do this here`)
  }
}

function sameOrigin(origin: string, host = ''): boolean {
  return URL.canParse(origin) && new URL(origin).host === host
}
