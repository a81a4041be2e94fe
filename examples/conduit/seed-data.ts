/**
 * The sample data, the same at every run: 200 users, 2,000 articles, 100 tags, 10,000
 * favorites, 4,000 follows, 5,000 comments. Popularity falls with rank (Zipf), as in life.
 */

export interface SeedUser { readonly username: string; readonly email: string; readonly password: string; readonly bio: string; readonly image: string }
export interface SeedArticle { readonly author: number; readonly title: string; readonly description: string; readonly body: string; readonly tagList: string[] }
/** `[user, article]`, `[follower, followee]`, and `[user, article, body]`, by index. */
export interface SeedData {
  readonly users: readonly SeedUser[]
  readonly articles: readonly SeedArticle[]
  readonly favorites: readonly (readonly [number, number])[]
  readonly follows: readonly (readonly [number, number])[]
  readonly comments: readonly (readonly [number, number, string])[]
}

const sizes = { users: 200, articles: 2_000, tags: 100, favorites: 10_000, follows: 4_000, comments: 5_000 } as const
const words = 'database index cache queue shard replica lease bucket stream event command query region token commit fence cursor horizon backoff deadline topology service worker relay schedule limit ingress driver port plan'.split(' ')

/** mulberry32: a small generator with a seed, so that the data is the same everywhere. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function seedData(): SeedData {
  const random = generator(20_261_124)
  const below = (count: number) => Math.floor(random() * count)
  const popular = (count: number) => Math.min(count - 1, Math.floor(count ** random()) - 1)
  const sentence = (length: number) => Array.from({ length }, () => words[below(words.length)]).join(' ')
  const number = (index: number) => String(index + 1).padStart(3, '0')
  const users = Array.from({ length: sizes.users }, (_, index): SeedUser => ({
    username: `user-${number(index)}`, email: `user-${number(index)}@example.com`, password: 'password123',
    bio: `Writes about ${sentence(3)}.`, image: `https://example.com/avatars/${number(index)}.png`,
  }))
  const articles = Array.from({ length: sizes.articles }, (_, index): SeedArticle => ({
    author: index < sizes.users ? index : below(sizes.users),
    title: `${sentence(4)} ${index + 1}`, description: sentence(10), body: Array.from({ length: 8 }, () => sentence(24)).join('.\n\n'),
    // The first articles use every tag once, so that none is missing.
    tagList: [...new Set([`tag-${number(index < sizes.tags ? index : popular(sizes.tags))}`, ...Array.from({ length: below(4) }, () => `tag-${number(popular(sizes.tags))}`)])],
  }))
  const pairs = (count: number, make: () => readonly [number, number], valid: (pair: readonly [number, number]) => boolean) => {
    const found = new Map<string, readonly [number, number]>()
    while (found.size < count) { const pair = make(); if (valid(pair)) found.set(pair.join(' '), pair) }
    return [...found.values()]
  }
  return {
    users, articles,
    favorites: pairs(sizes.favorites, () => [below(sizes.users), popular(sizes.articles)], () => true),
    follows: pairs(sizes.follows, () => [below(sizes.users), popular(sizes.users)], ([follower, followee]) => follower !== followee),
    comments: Array.from({ length: sizes.comments }, () => [below(sizes.users), popular(sizes.articles), sentence(12)] as const),
  }
}
