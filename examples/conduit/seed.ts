/** `npm run seed`: puts the sample data in, through Conduit's own commands, as its users would. */
import { fault, isTenfoldError } from 'tenfold'
import { seedData } from './seed-data.ts'

type Invoke = (intent: string, input: unknown, callerId?: string) => Promise<unknown>

const concurrency = 16

export default async function seed(invoke: Invoke): Promise<Record<string, number>> {
  const { users, articles, favorites, follows, comments } = seedData()
  const ids: string[] = []
  await each(users, async ({ username, email, password, bio, image }, index) => {
    await invoke('accounts.register', { user: { username, email, password } }).catch((cause: unknown) => {
      if (!isTenfoldError(cause) || cause.code !== 'CONFLICT') throw cause
      throw fault('CONFLICT', `${username} is in this database already, and not by a seed of the last day; use another TENFOLD_DATA for fresh sample data`, { cause })
    })
    const person = await invoke('accounts.person', { username }) as { id: string }
    ids[index] = person.id
    await invoke('accounts.updateUser', { user: { bio, image } }, person.id)
  })
  const slugs: string[] = []
  // One after another: the order of time is the order of the list.
  for (const [index, { author, ...article }] of articles.entries()) {
    const { article: { slug } } = await invoke('articles.publish', { article }, ids[author]) as { article: { slug: string } }
    slugs[index] = slug
  }
  await each(follows, ([follower, followee]) => invoke('profiles.follow', { username: users[followee]!.username }, ids[follower]))
  await each(favorites, ([user, article]) => invoke('articles.favorite', { slug: slugs[article] }, ids[user]))
  await each(comments, ([user, article, body]) => invoke('articles.addComment', { slug: slugs[article], comment: { body } }, ids[user]))
  return { users: users.length, articles: articles.length, favorites: favorites.length, follows: follows.length, comments: comments.length }
}

async function each<T>(list: readonly T[], work: (one: T, index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  await Promise.all(Array.from({ length: concurrency }, async () => {
    for (let index = next++; index < list.length; index = next++) await work(list[index]!, index)
  }))
}
