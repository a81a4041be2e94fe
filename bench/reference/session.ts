/**
 * Tokens and passwords of the reference server: HS256 by jose and scrypt by node:crypto, with
 * the parameters of the Conduit application. Verified tokens are remembered, as there.
 */
import { scrypt, timingSafeEqual } from 'node:crypto'
import { SignJWT, jwtVerify } from 'jose'

const tokensMax = 10_000
const hashBytes = 32

export interface Sessions {
  sign(userId: string): Promise<string>
  /** The user of an Authorization header; null without a valid token. */
  userOf(header: string | undefined): string | null | Promise<string | null>
}

export function createSessions(secretText: string): Sessions {
  const secret = new TextEncoder().encode(secretText)
  const verified = new Map<string, { readonly userId: string; readonly expiresAt: number }>()
  const verify = async (header: string): Promise<string | null> => {
    if (!header.startsWith('Token ')) return null
    const result = await jwtVerify(header.slice(6), secret, { algorithms: ['HS256'] }).catch(() => null)
    if (!result?.payload.sub || !result.payload.exp) return null
    if (verified.size >= tokensMax) verified.clear()
    verified.set(header, { userId: result.payload.sub, expiresAt: result.payload.exp * 1000 })
    return result.payload.sub
  }
  return {
    sign: userId => new SignJWT({}).setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
      .setSubject(userId).setIssuedAt().setExpirationTime('7d').sign(secret),
    userOf(header) {
      if (header === undefined) return null
      const known = verified.get(header)
      return known && known.expiresAt > Date.now() ? known.userId : verify(header)
    },
  }
}

/** True when the password belongs to the stored text `scrypt$N$r$p$salt$hash`. */
export function passwordMatches(password: string, stored: string): Promise<boolean> {
  const [kind, N, r, p, salt, hash] = stored.split('$')
  if (kind !== 'scrypt' || !salt || !hash) return Promise.resolve(false)
  return new Promise((resolve, reject) => {
    const cost = { N: Number(N), r: Number(r), p: Number(p), maxmem: 256 * Number(N) * Number(r) }
    scrypt(password.normalize('NFKC'), Buffer.from(salt, 'base64'), hashBytes, cost, (error, key) => {
      if (error) reject(error)
      else resolve(timingSafeEqual(key, Buffer.from(hash, 'base64')))
    })
  })
}
