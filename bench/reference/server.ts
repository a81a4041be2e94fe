/**
 * The reference: Conduit's busiest endpoints by hand, Fastify over pg and plain SQL, without
 * a framework. What Tenfold costs is measured against it.
 *
 *   REFERENCE_DATABASE_URL=… JWT_SECRET=… PORT=… node bench/reference/server.ts
 */
import { randomInt } from 'node:crypto'
import { fastify } from 'fastify'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { createSessions, passwordMatches } from './session.ts'
import type { Sessions } from './session.ts'
import { statements } from './statements.ts'
import { openStore } from './store.ts'
import type { Store } from './store.ts'

interface LoginRow {
  readonly id: string
  readonly email: string
  readonly username: string
  readonly password: string
  readonly bio: string | null
  readonly image: string | null
}

const jsonType = 'application/json; charset=utf-8'
const alphabet = '0123456789abcdefghijkmnpqrstuvwxyz'

const answer = (reply: FastifyReply, json: string, status = 200) => reply.code(status).type(jsonType).send(json)
const refuse = (reply: FastifyReply, status: number, key: string, message: string) => answer(reply, JSON.stringify({ errors: { [key]: [message] } }), status)

function slugOf(title: string): string {
  let end = ''
  for (let i = 0; i < 11; i++) end += alphabet[randomInt(alphabet.length)]
  return `${title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 80)}-${end}`
}

/** Limit and offset of a list. */
function pageOf(request: FastifyRequest): { limit: number; offset: number } {
  const query = request.query as { limit?: string; offset?: string }
  const natural = (text: string | undefined, otherwise: number) => text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : otherwise
  return { limit: Math.min(natural(query.limit, 20), 100), offset: natural(query.offset, 0) }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isBlank = (value: unknown) => !isText(value) || value.trim() === ''

export function createServer(store: Store, sessions: Sessions) {
  const app = fastify()
  app.get('/health', (_request, reply) => answer(reply, '{"status":"ok"}'))
  app.get('/api/tags', async (_request, reply) => answer(reply, `{"tags":${await store.readJson(statements.tags, [])}}`))
  app.get('/api/articles', async (request, reply) => {
    const user = await sessions.userOf(request.headers.authorization)
    const { limit, offset } = pageOf(request)
    const json = user === null
      ? await store.readJson(statements.list(limit), [offset])
      : await store.readJson(statements.listViewed(limit), [offset, user])
    return answer(reply, json!)
  })
  app.get('/api/articles/feed', async (request, reply) => {
    const user = await sessions.userOf(request.headers.authorization)
    if (user === null) return refuse(reply, 401, 'token', 'is missing')
    const { limit, offset } = pageOf(request)
    return answer(reply, (await store.readJson(statements.feed(limit), [offset, user]))!)
  })
  app.get('/api/articles/:slug', async (request, reply) => {
    const { slug } = request.params as { slug: string }
    const user = await sessions.userOf(request.headers.authorization)
    const json = user === null ? await store.readJson(statements.article, [slug]) : await store.readJson(statements.articleViewed, [slug, user])
    return json === undefined ? refuse(reply, 404, 'article', 'not found') : answer(reply, `{"article":${json}}`)
  })
  app.post('/api/articles', async (request, reply) => {
    const user = await sessions.userOf(request.headers.authorization)
    if (user === null) return refuse(reply, 401, 'token', 'is missing')
    const article = (request.body as { article?: Record<string, unknown> } | null)?.article ?? {}
    for (const key of ['title', 'description', 'body']) if (isBlank(article[key])) return refuse(reply, 422, key, "can't be blank")
    const { title, description, body, tagList = [] } = article
    if (!Array.isArray(tagList) || !tagList.every(isText)) return refuse(reply, 422, 'tagList', 'is invalid')
    const json = await store.writeJson(statements.create, [slugOf(String(title)), title, description, body, tagList, user])
    return json === undefined ? refuse(reply, 401, 'token', 'is missing') : answer(reply, `{"article":${json}}`, 201)
  })
  app.post('/api/users/login', async (request, reply) => {
    const login = (request.body as { user?: Record<string, unknown> } | null)?.user ?? {}
    for (const key of ['email', 'password']) if (isBlank(login[key])) return refuse(reply, 422, key, "can't be blank")
    const row = await store.row<LoginRow>(statements.login, [login.email])
    if (!row || !await passwordMatches(String(login.password), row.password)) return refuse(reply, 401, 'credentials', 'invalid')
    const user = { email: row.email, token: await sessions.sign(row.id), username: row.username, bio: row.bio, image: row.image }
    return answer(reply, JSON.stringify({ user }))
  })
  return app
}

if (import.meta.main) {
  const { REFERENCE_DATABASE_URL: url, JWT_SECRET: secret, PORT: port = '0' } = process.env
  if (!url || !secret) throw new Error('set REFERENCE_DATABASE_URL and JWT_SECRET')
  const store = await openStore(url, Number(process.env.READERS ?? 2))
  const app = createServer(store, createSessions(secret))
  process.stdout.write(`ready ${await app.listen({ host: '127.0.0.1', port: Number(port) })}\n`)
  const stop = async () => { await app.close(); await store.close() }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop())
}
