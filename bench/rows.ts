/** The rows of the bench: what each one sends. */
import { authorization, loginOf } from './client.ts'
import type { Person } from './client.ts'
import type { LoadRequest } from './load/load.ts'

export interface Subject {
  readonly tokens: readonly string[]
  readonly slugs: readonly string[]
  readonly people: readonly Person[]
}

export interface Row {
  readonly name: string
  readonly title: string
  /** Instead of the default number. */
  readonly connections?: number
  requests(subject: Subject): LoadRequest[]
}

const get = (path: string, token?: string): LoadRequest => ({ method: 'GET', path, ...(token === undefined ? {} : { headers: authorization(token) }) })

/** The body of a created article: about the size of the seed's. */
const draft = JSON.stringify({
  article: {
    title: 'Bench article {{sequence}}', description: 'What a bench writes',
    body: 'A paragraph of a bench article, with "quotes" and é. '.repeat(20), tagList: ['bench', 'tenfold'],
  },
})

export const createRequest = (token: string): LoadRequest => ({ method: 'POST', path: '/api/articles', headers: authorization(token), body: draft })

/** Creating comes last: it makes the two sides' databases differ. */
export const rows: readonly Row[] = [
  { name: 'list', title: 'list of 20', requests: () => [get('/api/articles')] },
  { name: 'list-token', title: 'list of 20, with token', requests: ({ tokens }) => tokens.map(token => get('/api/articles', token)) },
  { name: 'article', title: 'one article', requests: ({ slugs }) => slugs.map(slug => get(`/api/articles/${slug}`)) },
  { name: 'feed', title: 'feed', requests: ({ tokens }) => tokens.map(token => get('/api/articles/feed', token)) },
  { name: 'tags', title: 'tags', requests: () => [get('/api/tags')] },
  // A login is 40 ms of scrypt on four threads: more connections only queue.
  { name: 'login', title: 'login', connections: 8, requests: ({ people }) => people.map(loginOf) },
  { name: 'create', title: 'create', requests: ({ tokens }) => tokens.map(createRequest) },
]
