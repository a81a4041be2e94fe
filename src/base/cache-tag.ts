/**
 * Cache tags on the wire: the header `Cache-Tag` of an answer and the purge at the CDN must
 * write a tag in the same way, whatever characters it has.
 */
import { createHash } from 'node:crypto'

/** CDNs take at most 16 KB of tags with one answer. */
const headerBytesMax = 16_000
const tagBytesMax = 200

/** Visible ASCII without blank and comma, which separate tags; a long one becomes its digest. */
export function cacheTagOf(tag: string): string {
  if (tag === '') throw new Error('a cache tag is not empty')
  const text = encodeURIComponent(tag.toWellFormed()).replaceAll('%3A', ':').replaceAll('%2F', '/').replaceAll('%40', '@')
  return text.length <= tagBytesMax ? text : `sha256:${createHash('sha256').update(text).digest('base64url')}`
}

export const cacheTagsOf = (tags: readonly string[]): string[] => [...new Set(tags.map(cacheTagOf))]

/** The value of `Cache-Tag`; null when there are too many: what cannot be purged by all its tags must not be stored. */
export function cacheTagHeader(tags: readonly string[]): string | null {
  const header = cacheTagsOf(tags).join(',')
  return header.length <= headerBytesMax ? header : null
}
