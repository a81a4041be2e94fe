/** A made-up dataset of the seed's size (200 users, 2,000 articles), to try the reference without Conduit. */
import { randomBytes, scryptSync } from 'node:crypto'
import type { ArticleRow, Dataset, FavoriteRow, FollowRow, UserRow } from './load.ts'

const userCount = 200
const articleCount = 2_000
const startMs = Date.UTC(2026, 0, 1)

const idOf = (kind: number, index: number) => `00000000-0000-7000-800${kind}-${index.toString(16).padStart(12, '0')}`

export function synthesise(password: string): Dataset {
  const salt = randomBytes(16)
  const hash = scryptSync(password, salt, 32, { N: 16_384, r: 8, p: 1, maxmem: 64 << 20 })
  const stored = ['scrypt', 16_384, 8, 1, salt.toString('base64'), hash.toString('base64')].join('$')
  const users: UserRow[] = Array.from({ length: userCount }, (_, i) => (
    { id: idOf(1, i), email: `user${i}@example.com`, username: `user${i}`, password: stored, bio: i % 3 === 0 ? null : `I am "${i}"\n — naïve`, image: null }))
  const tags = Array.from({ length: 50 }, (_, i) => ({ name: `tag${i}` }))
  const follows: FollowRow[] = users.flatMap((user, i) => Array.from({ length: 20 }, (_, k) => (
    { follower_id: user.id, followee_id: users[(i + 1 + k * 7) % userCount]!.id })))
  const favorites: FavoriteRow[] = []
  const articles: ArticleRow[] = Array.from({ length: articleCount }, (_, i) => {
    const favoritesCount = i % 11
    for (let k = 0; k < favoritesCount; k++) favorites.push({ article_id: idOf(2, i), user_id: users[(i * 13 + k) % userCount]!.id })
    const moment = new Date(startMs + i * 60_123).toISOString()
    return {
      id: idOf(2, i), slug: `article-number-${i}`, title: `Article number ${i}`, description: `What article ${i} is "about"`,
      body: `Line ${i}: tabs\t, quotes " and é.\n`.repeat(50), tags: [`tag${i % 50}`, `tag${(i * 7 + 1) % 50}`].sort(),
      author_id: users[(i * 31) % userCount]!.id, favorites_count: favoritesCount, created_at: moment, updated_at: moment,
    }
  })
  return { users, follows, articles, favorites, tags }
}
