/**
 * The CDN port: what stands in front of the ingress and keeps public answers, and how it
 * is told that some of them are old.
 *
 * Contract
 * - When `purge` resolves, no later answer of the CDN comes from an object that was stored
 *   before the call, or that the CDN had asked the origin for before the call and got
 *   after it, and carries one of the tags. Objects without any of them stay.
 * - When it rejects, the purge may have happened in part; purging again does no harm.
 * - A tag is any text: `cacheTagsOf` (base/cache-tag.ts) writes it as the header and the
 *   purge know it.
 */

export interface Cdn {
  open(): Promise<void>
  close(): Promise<void>
  purge(tags: readonly string[]): Promise<void>
  /** True when a purge would get through. */
  healthy(): Promise<boolean>
}
