/** Traffic on a seeded Conduit, the same at every run: readers and a few writers, through HTTP as its users would. */
import { seedData } from '../../examples/conduit/seed-data.ts'

export interface LoadOptions {
  readonly rounds: number
  /** Further paths to read in each round. */
  readonly extra?: readonly string[]
}

const lanes = 4

async function request(url: string, method: string, path: string, token?: string, body?: unknown): Promise<unknown> {
  const response = await fetch(url + path, {
    method, headers: { ...(token ? { authorization: `Token ${token}` } : {}), ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

export async function loadConduit(url: string, { rounds, extra = [] }: LoadOptions): Promise<void> {
  const { users } = seedData()
  const login = async (index: number) => {
    const { email, password } = users[index]!
    const { user } = await request(url, 'POST', '/api/users/login', undefined, { user: { email, password } }) as { user: { token: string } }
    return user.token
  }
  const tokens = await Promise.all(Array.from({ length: lanes }, (_, lane) => login(lane)))
  const { articles } = await request(url, 'GET', '/api/articles?limit=100') as { articles: { slug: string }[] }
  let next = 0
  const lane = async (token: string) => {
    for (let round = next++; round < rounds; round = next++) {
      const { slug } = articles[round % articles.length]!
      const { username } = users[round % users.length]!
      const reads = [
        '/api/articles', `/api/articles?limit=10&offset=${round * 7}`, `/api/articles?favorited=${username}`, `/api/articles?author=${username}`,
        `/api/articles?tag=tag-${String(round % 100 + 1).padStart(3, '0')}`, `/api/articles/${slug}`, `/api/articles/${slug}/comments`, '/api/tags', `/api/profiles/${username}`, ...extra,
      ]
      for (const path of reads) await request(url, 'GET', path)
      for (const path of ['/api/user', '/api/articles/feed', `/api/articles/${slug}`, '/api/articles?favorited=' + users[0]!.username]) await request(url, 'GET', path, token)
      if (round % 4 > 0) continue
      await request(url, 'POST', `/api/articles/${slug}/favorite`, token)
      await request(url, 'DELETE', `/api/articles/${slug}/favorite`, token)
      await request(url, 'POST', `/api/articles/${slug}/comments`, token, { comment: { body: `comment ${round}` } })
    }
  }
  await Promise.all(tokens.map(lane))
}
