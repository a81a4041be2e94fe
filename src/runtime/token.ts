/**
 * The consistency token (I5): a signed list of log positions that travels with a session.
 * `t1.` + base64url of epoch u32, count u8, count × (shard u16, timeline u16, lsn u64),
 * 8 bytes of HMAC-SHA-256. Signed, since a forged position in the future would make every
 * read wait.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Position } from '../ports/database.ts'

const prefix = 't1.'
const entryBytes = 12
const headBytes = 5
const signatureBytes = 8
const entriesMax = 8

export interface Token { readonly epoch: number; readonly positions: readonly Position[] }

export interface TokenCodec {
  encode(token: Token): string
  /** Null for anything that this deployment did not sign. */
  decode(text: string): Token | null
}

export function tokenCodec(secret: Buffer): TokenCodec {
  const sign = (body: Buffer) => createHmac('sha256', secret).update(body).digest().subarray(0, signatureBytes)
  return {
    encode({ epoch, positions }) {
      const kept = positions.slice(0, entriesMax)
      const body = Buffer.alloc(headBytes + kept.length * entryBytes)
      body.writeUInt32BE(epoch, 0)
      body.writeUInt8(kept.length, 4)
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
      const count = bytes.length > headBytes ? bytes.readUInt8(4) : -1
      const size = headBytes + count * entryBytes
      if (count < 0 || bytes.length !== size + signatureBytes) return null
      const body = bytes.subarray(0, size)
      if (!timingSafeEqual(bytes.subarray(size), sign(body))) return null
      const positions = Array.from({ length: count }, (_, index) => {
        const at = headBytes + index * entryBytes
        return { shard: body.readUInt16BE(at), timeline: body.readUInt16BE(at + 2), lsn: body.readBigUInt64BE(at + 4) }
      })
      return { epoch: body.readUInt32BE(0), positions }
    },
  }
}

/** The newer position of each shard. */
export function mergeTokens(one: Token | null, other: Token): Token {
  const newest = new Map<number, Position>()
  for (const position of [...(one?.positions ?? []), ...other.positions]) {
    const known = newest.get(position.shard)
    if (!known || position.timeline > known.timeline || (position.timeline === known.timeline && position.lsn > known.lsn)) newest.set(position.shard, position)
  }
  return { epoch: Math.max(one?.epoch ?? 0, other.epoch), positions: [...newest.values()] }
}
