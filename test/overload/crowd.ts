/** A Conduit with people and articles enough that a list of 20 costs what it does in earnest, and what a crowd asks of it. */
import assert from 'node:assert/strict'
import type { LoadRequest } from '../../bench/load/load.ts'

export interface Crowd {
  readonly tokens: readonly string[]
  readonly slugs: readonly string[]
}

const peopleCount = 4
const articleCount = 64
const tagCount = 4

const usernameOf = (person: number) => `person${person}`
const authorization = (token: string) => ({ authorization: `Token ${token}` })

async function send<Answer>(url: string, method: string, path: string, token: string | null, body?: unknown): Promise<Answer> {
  const response = await fetch(url + path, {
    method, headers: { ...(token ? authorization(token) : {}), ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await response.text()
  assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`)
  return JSON.parse(text) as Answer
}

export async function gatherCrowd(url: string): Promise<Crowd> {
  const tokens: string[] = []
  for (let person = 0; person < peopleCount; person++) {
    const { user } = await send<{ user: { token: string } }>(url, 'POST', '/api/users', null, { user: { username: usernameOf(person), email: `person${person}@crowd.example`, password: `a password ${person}` } })
    tokens.push(user.token)
  }
  const slugs: string[] = []
  const publish = async (token: string, person: number) => {
    for (let index = person; index < articleCount; index += peopleCount) {
      const { article } = await send<{ article: { slug: string } }>(url, 'POST', '/api/articles', token, { article: { title: `article ${index}`, description: 'what it says', body: 'text '.repeat(200), tagList: [`tag${index % tagCount}`, 'all'] } })
      slugs.push(article.slug)
    }
  }
  await Promise.all(tokens.map(publish))
  await Promise.all(tokens.map(async (token, person) => {
    await send(url, 'POST', `/api/profiles/${usernameOf((person + 1) % peopleCount)}/follow`, token)
    for (let index = person; index < articleCount; index += 2) await send(url, 'POST', `/api/articles/${slugs[index]!}/favorite`, token)
  }))
  return { tokens, slugs }
}

/** Nothing here is cheap, so that to refuse is: lists of 60 as each person sees them, and one comment in twenty. */
export function crowdRequests({ tokens, slugs }: Crowd): LoadRequest[] {
  return Array.from({ length: 200 }, (_, index): LoadRequest => {
    const headers = authorization(tokens[index % peopleCount]!)
    const get = (path: string): LoadRequest => ({ method: 'GET', path, headers })
    if (index % 20 === 19) return { method: 'POST', path: `/api/articles/${slugs[index % commentedCount]!}/comments`, headers, body: '{"comment":{"body":"comment {{sequence}}"}}' }
    switch (index % 5) {
      case 0: return get(`/api/articles?tag=all&limit=60`)
      case 1: return get(`/api/articles?favorited=${usernameOf(index % peopleCount)}&limit=60`)
      case 2: return get('/api/articles/feed?limit=60')
      default: return get(`/api/articles?limit=60&offset=${index % 4}`)
    }
  })
}

const commentedCount = 40

/** How often each number stands in a comment. */
export async function commentsOf(url: string, { slugs }: Crowd): Promise<Map<number, number>> {
  const counts = new Map<number, number>()
  for (const slug of slugs.slice(0, commentedCount)) {
    const { comments } = await send<{ comments: { body: string }[] }>(url, 'GET', `/api/articles/${slug}/comments`, null)
    for (const { body } of comments) {
      const sequence = Number(body.split(' ')[1])
      counts.set(sequence, (counts.get(sequence) ?? 0) + 1)
    }
  }
  return counts
}

/** What people without an account read: articles by Zipf's law, the first list and the tags; and how many different answers of each intent that takes. */
export function readerRequests({ slugs }: Crowd): { readonly requests: readonly LoadRequest[]; readonly answersByIntent: Readonly<Record<string, number>> } {
  const get = (path: string): LoadRequest => ({ method: 'GET', path })
  const requests = slugs.flatMap((slug, index) => Array.from({ length: Math.ceil(slugs.length / (index + 1)) }, () => get(`/api/articles/${slug}`)))
  const others = Math.ceil(requests.length / 4)
  for (let index = 0; index < others; index++) requests.push(get('/api/articles'), get('/api/tags'))
  // Spread by a stride that has no common divisor with the length, so that the popular ones do not come in a row.
  const stride = [101, 103, 107].find(prime => requests.length % prime !== 0)!
  const spread = requests.map((_, index) => requests[index * stride % requests.length]!)
  return { requests: spread, answersByIntent: { 'articles.one': slugs.length, 'articles.list': 1, 'articles.tags': 1 } }
}
