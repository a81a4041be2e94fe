/**
 * JSON Web Tokens (RFC 7519, with the advice of RFC 8725) by jose: one algorithm, HS256,
 * one issuer, always with an expiry. Tokens that verified are remembered until they expire,
 * so that a busy session costs one check.
 */
import { LRUCache } from 'lru-cache'
import { fault } from '../base/errors.ts'
import { now } from '../base/time.ts'

export interface JwtOptions {
  /** At least 32 bytes. */
  readonly secret: string | Uint8Array
  readonly issuer: string
  readonly lifetimeMs: number
}

export interface Jwt {
  sign(subject: string): Promise<string>
  /** The subject of a valid token; rejects with UNAUTHENTICATED otherwise. */
  verify(token: string): Promise<{ readonly subject: string }>
}

const tokenCharactersMax = 4_096
/** When the first token comes: a start needs none. */
const jose = () => import('jose')

export function jwt(options: JwtOptions): Jwt {
  const secret = typeof options.secret === 'string' ? new TextEncoder().encode(options.secret) : options.secret
  if (secret.length < 32) throw fault('DECLARATION_FAULT', `the JWT secret has ${secret.length} bytes; use at least 32 random bytes`)
  const verified = new LRUCache<string, { subject: string; expiresAtMs: number }>({ max: 10_000 })
  return {
    sign: async subject => new (await jose()).SignJWT({})
      .setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).setSubject(subject).setIssuer(options.issuer)
      .setIssuedAt(Math.floor(now() / 1000)).setExpirationTime(Math.floor((now() + options.lifetimeMs) / 1000))
      .sign(secret),
    async verify(token) {
      const known = verified.get(token)
      if (known && known.expiresAtMs > now()) return known
      if (token.length > tokenCharactersMax) throw fault('UNAUTHENTICATED', 'the token is too long')
      const { jwtVerify } = await jose()
      const { payload } = await jwtVerify(token, secret, { algorithms: ['HS256'], issuer: options.issuer, requiredClaims: ['sub', 'exp'], currentDate: new Date(now()) })
        .catch((error: Error) => { throw fault('UNAUTHENTICATED', `the token does not hold: ${error.message}`) })
      const entry = { subject: payload.sub!, expiresAtMs: payload.exp! * 1000 }
      verified.set(token, entry)
      return entry
    },
  }
}
