/**
 * Passwords by scrypt (RFC 7914), a memory-hard function, on libuv's thread pool and so
 * off the event loop. Stored as `scrypt$N$r$p$salt$hash`, both in base64.
 */
import { scrypt, timingSafeEqual } from 'node:crypto'
import { randomBytes } from '../base/random.ts'

const cost = 16_384
const blockSize = 8
const parallelism = 1
const hashBytes = 32

function derive(password: string, salt: Buffer, N: number, r: number, p: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, hashBytes, { N, r, p, maxmem: 256 * N * r }, (error, key) => error ? reject(error) : resolve(key))
  })
}

export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16)
  const key = await derive(password, salt, cost, blockSize, parallelism)
  return ['scrypt', cost, blockSize, parallelism, salt.toString('base64'), key.toString('base64')].join('$')
}

/** False for a wrong password and for a text that is not one of our hashes. */
export async function verifyPassword(password: string, stored: string): Promise<boolean> {
  const [kind, N, r, p, salt, hash] = stored.split('$')
  if (kind !== 'scrypt' || !salt || !hash) return false
  const key = await derive(password, Buffer.from(salt, 'base64'), Number(N), Number(r), Number(p))
  const wanted = Buffer.from(hash, 'base64')
  return wanted.length === key.length && timingSafeEqual(wanted, key)
}
