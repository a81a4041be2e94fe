/**
 * The consistency token (I5): a signed list of log positions that travels with a session.
 * `t1.` + base64url of epoch u32, time of the last write in milliseconds u48, number u32,
 * count u8, count × (shard u16, timeline u16, lsn u64), 8 bytes of HMAC-SHA-256. Signed, since
 * a forged position in the future would make every read wait. The number makes every token
 * another text, so that two sessions with equal positions are told apart.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import { limits } from '../base/limits.ts'
import { randomBytes } from '../base/random.ts'
import { agreedNow } from '../base/time.ts'
import type { Position } from '../ports/database.ts'

const prefix = 't1.'
const entryBytes = 12
const headBytes = 15
const signatureBytes = 8
const entriesMax = 8

export interface Token {
  readonly epoch: number
  /** When the session wrote last, milliseconds since 1970, by the clock that all processes agree on. */
  readonly wroteAtMs: number
  readonly positions: readonly Position[]
}

export interface TokenCodec {
  encode(token: Token): string
  /** Null for anything that this deployment did not sign. */
  decode(text: string): Token | null
}

export function tokenCodec(secret: Buffer): TokenCodec {
  const sign = signer(secret)
  let number = randomBytes(4).readUInt32BE()
  return {
    encode({ epoch, wroteAtMs, positions }) {
      const kept = positions.slice(0, entriesMax)
      const body = Buffer.alloc(headBytes + kept.length * entryBytes)
      body.writeUInt32BE(epoch, 0)
      body.writeUIntBE(wroteAtMs, 4, 6)
      body.writeUInt32BE(number = (number + 1) % 2 ** 32, 10)
      body.writeUInt8(kept.length, 14)
      kept.forEach((position, index) => {
        const at = headBytes + index * entryBytes
        body.writeUInt16BE(position.shard, at)
        body.writeUInt16BE(position.timeline, at + 2)
        body.writeBigUInt64BE(position.lsn, at + 4)
      })
      return prefix + Buffer.concat([body, sign(body)]).toString('base64url')
    },
    decode(text) {
      if (!text.startsWith(prefix) || text.length > 256) return null
      const bytes = Buffer.from(text.slice(prefix.length), 'base64url')
      const count = bytes.length > headBytes ? bytes.readUInt8(14) : -1
      const size = headBytes + count * entryBytes
      if (count < 0 || bytes.length !== size + signatureBytes) return null
      const body = bytes.subarray(0, size)
      if (!timingSafeEqual(bytes.subarray(size), sign(body))) return null
      const positions = Array.from({ length: count }, (_, index) => {
        const at = headBytes + index * entryBytes
        return { shard: body.readUInt16BE(at), timeline: body.readUInt16BE(at + 2), lsn: body.readBigUInt64BE(at + 4) }
      })
      return { epoch: body.readUInt32BE(0), wroteAtMs: body.readUIntBE(4, 6), positions }
    },
  }
}

const blockBytes = 64
const sha256 = (...parts: readonly Buffer[]): Buffer => hash('sha256', Buffer.concat(parts), 'buffer')

/** The first bytes of an HMAC-SHA-256 (RFC 2104), by two hashes: an Hmac of node:crypto takes 11 µs of each write and of each read of a session, this 3. */
function signer(secret: Buffer): (body: Buffer) => Buffer {
  const key = Buffer.alloc(blockBytes)
  ;(secret.length > blockBytes ? sha256(secret) : secret).copy(key)
  const [inner, outer] = [0x36, 0x5c].map(pad => Buffer.from(key.map(byte => byte ^ pad))) as [Buffer, Buffer]
  return body => sha256(outer, sha256(inner, body)).subarray(0, signatureBytes)
}

/** When the session of this token, one of ours, wrote last. */
export const wroteAtMsOf = (text: string): number => Buffer.from(text.slice(prefix.length), 'base64url').readUIntBE(4, 6)

/** True while the token counts: after that the deployment's freshness bound has passed, and any answer is new enough. */
export const isLiving = (token: Token): boolean => agreedNow() - token.wroteAtMs < limits.tokenLifeMs

export const isNewer = (one: Position, other: Position): boolean =>
  one.timeline > other.timeline || (one.timeline === other.timeline && one.lsn > other.lsn)

/** The newer position of each shard, and the later time of writing. */
export function mergeTokens(one: Token | null, other: Token): Token {
  const newest = new Map<number, Position>()
  for (const position of [...(one?.positions ?? []), ...other.positions]) {
    const known = newest.get(position.shard)
    if (!known || isNewer(position, known)) newest.set(position.shard, position)
  }
  return { epoch: Math.max(one?.epoch ?? 0, other.epoch), wroteAtMs: Math.max(one?.wroteAtMs ?? 0, other.wroteAtMs), positions: [...newest.values()] }
}

/**
 * True when what was read at these positions shows everything the token names. Strictly
 * newer: a commit may be flushed, and so lie at the position, a moment before others see it.
 */
export function isBeyond(positions: readonly Position[], token: Token): boolean {
  return token.positions.every(wanted => positions.some(one => one.shard === wanted.shard && isNewer(one, wanted)))
}
