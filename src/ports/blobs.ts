/**
 * The blobs port: bytes under keys, with a type, for what people upload.
 *
 * Contract
 * - When `put` resolves, the blob is on disk, whole (I13); until then, and when it rejects,
 *   the key is what it was before. Of several at once, one wins whole.
 * - A reader gets one blob from its first byte to its last, also while the key is replaced or removed.
 * - The ETag is strong and made of the content: equal bytes of one type have equal ETags.
 * - A key is a path of lower-case segments (`isBlobKey`); any other is refused with
 *   INVALID_INPUT and touches nothing.
 */
import type { Readable } from 'node:stream'

export interface BlobFacts {
  readonly key: string
  readonly bytes: number
  readonly type: string
  /** With its quotation marks. */
  readonly etag: string
  readonly storedAtMs: number
}

export interface PutOptions {
  readonly type: string
  /** PAYLOAD_TOO_LARGE as soon as more have come. */
  readonly bytesMax: number
}

/** From an offset, so many bytes; what lies behind the end is left out. */
export interface BlobRange {
  readonly offset: number
  readonly bytes: number
}

export interface Blob {
  readonly facts: BlobFacts
  /** Must be read to its end or destroyed. */
  readonly body: Readable
}

/** A key, or how it follows from the SHA-256 of the content, in hexadecimal. */
export type BlobKey = string | ((sha256: string) => string)

export interface Blobs {
  open(): Promise<void>
  close(): Promise<void>
  put(key: BlobKey, source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<BlobFacts>
  head(key: string): Promise<BlobFacts | null>
  get(key: string, range?: BlobRange): Promise<Blob | null>
  /** True when there was one. */
  remove(key: string): Promise<boolean>
  /** Blobs whose key begins with the prefix, by key, behind `after`. */
  list(prefix: string, options: { readonly limit: number; readonly after?: string }): Promise<BlobFacts[]>
  healthy(): Promise<boolean>
}

const segment = /^[a-z0-9][a-z0-9._-]{0,127}$/

/** Lower case only, since some file systems do not tell case apart; no segment begins with a dot. */
export function isBlobKey(key: string): boolean {
  return key.length <= 512 && key.split('/').every(one => segment.test(one))
}
