/**
 * How long answers stay fresh, and the tags they carry. An answer lives until something it
 * shows has changed; the times only bound what an undeclared change could leave behind. Readers
 * who have not signed in, and have written nothing, may see what changes all the time a second late.
 */
import type { Caller, Freshness } from 'tenfold'

export const shared: Freshness = { freshMs: 60_000, staleMs: 30_000, lagMs: 1_000, audience: 'public' }
export const own: Freshness = { freshMs: 60_000, staleMs: 30_000 }

/** Every list of articles: what is in it, and in which order. What an item shows is tagged by the item. */
export const articleLists = 'articles'
/** Lists of what somebody favors. */
export const favoriteLists = 'favorites'
/** Everything that shows who somebody is. */
export const persons = 'persons'
export const personTag = (username: string): string => `person:${username}`
export const allTags = 'tags'
/** By its handle, which a new title does not change. */
export const articleTag = (slug: string): string => `article:${slug.slice(slug.lastIndexOf('-') + 1)}`
export const itemTags = (items: readonly { readonly slug: string }[] = []): string[] => items.map(one => articleTag(one.slug))
export const commentsTag = (slug: string): string => `comments:${slug}`
/** What is shown to this caller depends on whom they follow. */
export const viewTags = (caller: Caller | null): string[] => caller ? [followerTag(caller.id)] : []
export const followerTag = (id: string): string => `follower:${id}`
