/**
 * Serves what was uploaded. An address never gets another content, so it may be kept for
 * ever; and whatever a stranger uploaded must not run as a page of this site: its type is
 * not guessed at, a policy takes away scripts, and only pictures, sound, film and plain text
 * are shown in place.
 */
import { blobsPrefix } from '../model/manifest.ts'
import { isBlobKey } from '../ports/blobs.ts'
import type { BlobFacts, Blobs } from '../ports/blobs.ts'
import type { Mount } from '../ports/ingress.ts'
import { answerWith, reads, refuse } from './representation.ts'
import type { Representation } from './representation.ts'

const shown = /^(image\/(png|jpeg|gif|webp|avif|apng)|(audio|video)\/[\w.+-]+|text\/plain)$/

export function blobsMount(blobs: Blobs): Mount {
  return {
    prefix: blobsPrefix,
    handle(request, response) {
      if (!reads(request, response)) return
      const key = request.url!.split('?', 1)[0]!.slice(blobsPrefix.length + 1)
      void serve(key).catch(() => refuse(response, 503, { 'retry-after': '1' }))
      async function serve(key: string): Promise<void> {
        const facts = isBlobKey(key) ? await blobs.head(key) : null
        if (!facts) return refuse(response, 404)
        await answerWith(request, response, representationOf(facts), async span => {
          const blob = await blobs.get(key, span)
          if (!blob) throw new Error(`${key} was removed`)
          return blob.body
        })
      }
    },
  }
}

function representationOf({ etag, bytes, type }: BlobFacts): Representation {
  return {
    etag, bytes,
    headers: {
      'cache-control': 'public, max-age=31536000, immutable',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'content-disposition': shown.test(type) ? 'inline' : 'attachment',
      'cross-origin-resource-policy': 'cross-origin',
    },
    bodyHeaders: { 'content-type': type.startsWith('text/') ? `${type}; charset=utf-8` : type },
  }
}
