/**
 * How long answers stay fresh, and the tags they carry. An answer lives until something it
 * shows has changed; the times only bound what an undeclared change could leave behind.
 */
import type { Caller, Freshness } from 'tenfold'

export const shared: Freshness = { freshMs: 60_000, staleMs: 30_000, audience: 'public' }
export const own: Freshness = { freshMs: 60_000, staleMs: 30_000 }

/** Every list of articles. */
export const articleLists = 'articles'
/** Everything that shows who somebody is. */
export const persons = 'persons'
export const personTag = (username: string): string => `person:${username}`
export const allTags = 'tags'
export const articleTag = (slug: string): string => `article:${slug}`
export const commentsTag = (slug: string): string => `comments:${slug}`
/** What is shown to this caller depends on whom they follow. */
export const viewTags = (caller: Caller | null): string[] => caller ? [followerTag(caller.id)] : []
export const followerTag = (id: string): string => `follower:${id}`
