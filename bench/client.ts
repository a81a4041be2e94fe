/** The bench's own requests, outside measurements: making users, collecting slugs, comparing answers. */
import type { LoadRequest } from './load/load.ts'

export interface Reply { readonly status: number; readonly text: string }

export async function send(url: string, request: LoadRequest): Promise<Reply> {
  const response = await fetch(url + request.path, {
    method: request.method, body: request.body,
    headers: { ...(request.body === undefined ? {} : { 'content-type': 'application/json' }), ...request.headers },
  })
  return { status: response.status, text: await response.text() }
}

async function sendOk<Answer>(url: string, request: LoadRequest): Promise<Answer> {
  const reply = await send(url, request)
  if (reply.status > 299) throw new Error(`${request.method} ${request.path} of ${url}: ${reply.status} ${reply.text}`)
  return JSON.parse(reply.text) as Answer
}

export interface Person { readonly email: string; readonly password: string }

export const loginOf = ({ email, password }: Person): LoadRequest => ({ method: 'POST', path: '/api/users/login', body: JSON.stringify({ user: { email, password } }) })
export const authorization = (token: string) => ({ authorization: `Token ${token}` })

export async function tokenOf(url: string, person: Person): Promise<string> {
  return (await sendOk<{ user: { token: string } }>(url, loginOf(person))).user.token
}

interface ListAnswer { readonly articles: readonly { slug: string; author: { username: string } }[]; readonly articlesCount: number }

/** Slugs and authors over the whole of the articles, not the newest alone. */
export async function sampleArticles(url: string, pages: number): Promise<{ slugs: string[]; authors: string[] }> {
  const { articlesCount } = await sendOk<ListAnswer>(url, { method: 'GET', path: '/api/articles' })
  const slugs: string[] = []
  const authors = new Set<string>()
  for (let page = 0; page < pages; page++) {
    const offset = Math.floor(Math.max(0, articlesCount - 20) * page / pages)
    const { articles } = await sendOk<ListAnswer>(url, { method: 'GET', path: `/api/articles?limit=20&offset=${offset}` })
    for (const article of articles) { slugs.push(article.slug); authors.add(article.author.username) }
  }
  return { slugs, authors: [...authors] }
}

/** Registers people who follow and favorite, so that feeds and flags have something to show. */
export async function registerPeople(url: string, count: number): Promise<Person[]> {
  const { slugs, authors } = await sampleArticles(url, 8)
  const people: Person[] = []
  for (let i = 0; i < count; i++) {
    const person = { email: `bench${i}@bench.example`, password: `bench-password-${i}` }
    const { user } = await sendOk<{ user: { token: string } }>(url, {
      method: 'POST', path: '/api/users', body: JSON.stringify({ user: { username: `bench${i}`, ...person } }),
    })
    const headers = authorization(user.token)
    for (let k = 0; k < 20; k++) {
      const author = authors[(i * 5 + k * 7) % authors.length]!
      await sendOk(url, { method: 'POST', path: `/api/profiles/${encodeURIComponent(author)}/follow`, headers })
      await sendOk(url, { method: 'POST', path: `/api/articles/${slugs[(i * 3 + k * 5) % slugs.length]!}/favorite`, headers })
    }
    people.push(person)
  }
  return people
}
