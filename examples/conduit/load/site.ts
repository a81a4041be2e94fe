/** What the journeys know of Conduit before they begin: what is there to read, and accounts to write with. */
import type { User } from 'tenfold/load'

export interface Site {
  /** Newest first, which is how often they are read. */
  readonly articles: readonly { readonly slug: string; readonly author: string }[]
  readonly tags: readonly string[]
  readonly tokens: readonly string[]
}

interface Listed { readonly articles: readonly { readonly slug: string; readonly author: { readonly username: string } }[] }

const pages = 5
const accounts = 20

export async function prepareSite(user: User): Promise<Site> {
  const articles: { slug: string; author: string }[] = []
  for (let page = 0; page < pages; page++) {
    const { articles: found } = (await user.get('articles', `/api/articles?limit=100&offset=${page * 100}`)).json<Listed>()
    for (const { slug, author } of found) articles.push({ slug, author: author.username })
  }
  const { tags } = (await user.get('tags', '/api/tags')).json<{ tags: string[] }>()
  const tokens: string[] = []
  for (let count = 0; count < accounts; count++) tokens.push(await register(user))
  return { articles, tags, tokens }
}

/** Resolves with the token of a new account. */
export async function register(user: User): Promise<string> {
  const name = `load-${user.unique()}`
  const answer = await user.post('register', '/api/users', { user: { username: name, email: `${name}@load.example`, password: name } }, {
    found: () => ({ path: `/api/profiles/${name}`, has: name }),
  })
  return answer.json<{ user: { token: string } }>().user.token
}

export const authorization = (token: string): string => `Token ${token}`
