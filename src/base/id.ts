/**
 * Buckets and ids. Every key hashes into one of 4,096 buckets for ever, and every id
 * carries its bucket, so that a call is routed without a look-up table.
 *
 * Hash: FNV-1a 32 over UTF-8 with the finaliser of MurmurHash3, the top 12 bits.
 * Id: the layout of UUIDv7 (RFC 9562): 48 bit milliseconds, version, 12 bit counter,
 * variant, 12 bit bucket, 50 bit random.
 */
import { now } from './time.ts'
import { randomPooled } from './random.ts'

export const bucketCount = 4096

/** The bucket of a key, 0 to 4,095. Test vectors: test/unit/id.test.ts. */
export function bucketOf(key: string): number {
  let hash = 0x811c9dc5
  const bytes = Buffer.from(key, 'utf8')
  for (let index = 0; index < bytes.length; index++) hash = Math.imul(hash ^ bytes[index]!, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 20
}

let lastMs = 0
let counter = 0
const hex = (value: number, width: number) => value.toString(16).padStart(width, '0')

/** A new id in the bucket: sorts by time, monotone within a process, never going back with the clock. */
export function newId(bucket: number): string {
  const atMs = now()
  if (atMs > lastMs) { lastMs = atMs; counter = 0 } else if (++counter > 0xfff) { lastMs++; counter = 0 }
  const random = randomPooled(7)
  return `${hex(Math.floor(lastMs / 65536), 8)}-${hex(lastMs % 65536, 4)}-7${hex(counter, 3)}-`
    + hex(0x80 | bucket >> 6, 2) + hex((bucket & 63) << 2 | random[0]! & 3, 2) + `-${random.subarray(1).toString('hex')}`
}

const pattern = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export const isId = (text: string): boolean => pattern.test(text)

/** The bucket an id carries. The id must be one that `newId` made. */
export function bucketOfId(id: string): number {
  return (parseInt(id.slice(19, 21), 16) & 63) << 6 | parseInt(id.slice(21, 23), 16) >> 2
}

const alphabet = '0123456789abcdefghijkmnpqrstuvwxyz'
const base = alphabet.length

/**
 * A short text that carries a bucket, for addresses that people see: three characters
 * of bucket, then eight of randomness (about 40 bits, unique within a bucket by an index).
 */
export function newHandle(bucket: number): string {
  let text = ''
  for (let rest = bucket, i = 0; i < 3; i++, rest = Math.floor(rest / base)) text = alphabet[rest % base] + text
  for (const byte of randomPooled(8)) text += alphabet[byte % base]
  return text
}

/** The bucket a handle carries, or null when the text is not a handle. */
export function bucketOfHandle(handle: string): number | null {
  if (handle.length !== 11) return null
  let bucket = 0
  for (let i = 0; i < 11; i++) {
    const digit = alphabet.indexOf(handle[i]!)
    if (digit < 0) return null
    if (i < 3) bucket = bucket * base + digit
  }
  return bucket < bucketCount ? bucket : null
}
