/** The project's own RealWorld cases: what the API promises, in a walk of two people. Needs no suite from outside. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'

interface Reply { readonly status: number; readonly body: any; readonly headers: Headers }

/** One person's client: sends their token and, like a cookie jar, the newest consistency token. */
export class Person {
  readonly url: string
  readonly name = `p-${randomBytes(6).toString('hex')}`
  token: string | undefined
  #consistency: string | undefined

  constructor(url: string) { this.url = url }

  get email(): string { return `${this.name}@example.com` }

  async send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const answer = await fetch(`${this.url}/api${path}`, {
      method, body: body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body),
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...(this.token ? { authorization: `Token ${this.token}` } : {}),
        ...(this.#consistency ? { 'tenfold-token': this.#consistency } : {}), ...headers,
      },
    })
    this.#consistency = answer.headers.get('tenfold-token') ?? this.#consistency
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? null : JSON.parse(text), headers: answer.headers }
  }

  /** Sees what the other person's session has seen. */
  follow(other: Person): void { this.#consistency = other.#consistency }

  async register(): Promise<void> {
    const { status, body } = await this.send('POST', '/users', { user: { username: this.name, email: this.email, password: 'password123' } })
    assert.equal(status, 201)
    assert.deepEqual({ ...body.user, token: typeof body.user.token }, { email: this.email, username: this.name, bio: null, image: null, token: 'string' })
    this.token = body.user.token
  }
}

function refused(reply: Reply, status: number, key: string, message: string): void {
  assert.equal(reply.status, status)
  assert.deepEqual(reply.body, { errors: { [key]: [message] } })
}

const blank = "can't be blank"

async function accounts(jane: Person, nobody: Person): Promise<void> {
  for (const field of ['username', 'email', 'password']) {
    const user: Record<string, unknown> = { username: `${jane.name}x`, email: `x${jane.email}`, password: 'password123' }
    for (const value of ['', null, undefined]) refused(await nobody.send('POST', '/users', { user: { ...user, [field]: value } }), 422, field, blank)
    if (field === 'password') continue
    refused(await jane.send('PUT', '/user', { user: { [field]: '' } }), 422, field, blank)
    refused(await jane.send('PUT', '/user', { user: { [field]: null } }), 422, field, blank)
  }
  refused(await nobody.send('POST', '/users', { user: { username: jane.name, email: `y${jane.email}`, password: 'password123' } }), 409, 'username', 'has already been taken')
  refused(await nobody.send('POST', '/users', { user: { username: `${jane.name}y`, email: jane.email, password: 'password123' } }), 409, 'email', 'has already been taken')
  refused(await nobody.send('POST', '/users/login', { user: { email: jane.email, password: 'wrong password' } }), 401, 'credentials', 'invalid')
  refused(await nobody.send('GET', '/user'), 401, 'token', 'is missing')
  assert.equal((await nobody.send('POST', '/users/login', { user: { email: jane.email, password: 'password123' } })).status, 200)
  for (const [field, value] of [['email', 'nobody@example.com'], ['password', 'wrong password']] as const) {
    refused(await nobody.send('POST', '/users/login', { user: { email: jane.email, password: 'password123', [field]: value } }), 401, 'credentials', 'invalid')
    refused(await nobody.send('POST', '/users/login', { user: { email: jane.email, password: 'password123', [field]: '' } }), 422, field, blank)
  }
  for (const value of ['', null]) refused(await jane.send('PUT', '/user', { user: { password: value } }), 422, 'password', blank)
  for (const field of ['username', 'email'] as const) {
    const john = new Person(jane.url)
    await john.register()
    refused(await jane.send('PUT', '/user', { user: { [field]: field === 'email' ? john.email : john.name } }), 409, field, 'has already been taken')
  }
  assert.equal((await jane.send('PUT', '/user', { user: { password: 'short' } })).status, 422)
  for (const [given, kept] of [['I write', 'I write'], ['', null], ['again', 'again'], [null, null]] as const) {
    assert.equal((await jane.send('PUT', '/user', { user: { bio: given, image: given } })).status, 200)
    const { body } = await jane.send('GET', '/user')
    assert.deepEqual([body.user.bio, body.user.image], [kept, kept])
  }
}

const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')

async function avatar(jane: Person, nobody: Person): Promise<void> {
  const put = (token: string | undefined, type: string) => fetch(`${jane.url}/api/user/avatar`, { method: 'PUT', body: picture, headers: { 'content-type': type, ...(token ? { authorization: `Token ${token}` } : {}) } })
  assert.deepEqual([(await put(undefined, 'image/png')).status, (await put(jane.token, 'image/gif')).status], [401, 415])
  const { user } = await (await put(jane.token, 'image/png')).json() as { user: { image: string } }
  const shown = await fetch(nobody.url + user.image)
  assert.deepEqual([shown.status, shown.headers.get('content-type'), Buffer.from(await shown.arrayBuffer()).equals(picture)], [200, 'image/png', true])
  await jane.send('PUT', '/user', { user: { image: null } })
}

async function articles(jane: Person, john: Person, nobody: Person): Promise<string> {
  const tag = `t-${jane.name}`
  const input = { title: `How ${jane.name} trains`, description: 'ever wonder?', body: 'with care', tagList: ['zeta', tag, 'alpha', tag] }
  refused(await nobody.send('POST', '/articles', { article: input }), 401, 'token', 'is missing')
  for (const field of ['title', 'description', 'body']) refused(await jane.send('POST', '/articles', { article: { ...input, [field]: '' } }), 422, field, blank)
  const made = await jane.send('POST', '/articles', { article: input })
  assert.equal(made.status, 201)
  const { slug, createdAt } = made.body.article
  assert.deepEqual(made.body.article.tagList, ['alpha', tag, 'zeta'])
  const twin = await jane.send('POST', '/articles', { article: input })
  assert.notEqual(twin.body.article.slug, slug)
  nobody.follow(jane)
  assert.ok((await nobody.send('GET', '/tags')).body.tags.includes(tag), 'a tag is shown at once')
  const byTag = await nobody.send('GET', `/articles?tag=${tag}`)
  assert.deepEqual([byTag.body.articlesCount, byTag.body.articles.map((one: any) => one.slug)], [2, [twin.body.article.slug, slug]])
  assert.ok(!('body' in byTag.body.articles[0]))
  assert.equal((await nobody.send('GET', `/articles?author=${jane.name}&limit=1&offset=1`)).body.articles[0].slug, slug)
  assert.equal((await nobody.send('GET', `/articles?author=${jane.name}&limit=1&offset=9`)).body.articlesCount, 2)
  assert.equal((await jane.send('DELETE', `/articles/${twin.body.article.slug}`)).status, 204)
  const changed = await jane.send('PUT', `/articles/${slug}`, { article: { body: 'with more care' } })
  assert.deepEqual([changed.body.article.createdAt, changed.body.article.tagList], [createdAt, ['alpha', tag, 'zeta']])
  assert.ok(changed.body.article.updatedAt > createdAt)
  assert.equal((await jane.send('PUT', `/articles/${slug}`, { article: { tagList: null } })).status, 422)
  assert.deepEqual((await jane.send('PUT', `/articles/${slug}`, { article: { tagList: [] } })).body.article.tagList, [])
  const again = await jane.send('PUT', `/articles/${slug}`, { article: { description: 'always' } })
  assert.ok(again.body.article.updatedAt > changed.body.article.updatedAt, 'every update shows')
  assert.equal((await nobody.send('GET', `/articles/${slug}`)).body.article.createdAt, createdAt)
  for (const field of ['title', 'description', 'body']) refused(await jane.send('PUT', `/articles/${slug}`, { article: { [field]: '' } }), 422, field, blank)
  refused(await john.send('PUT', `/articles/${slug}`, { article: { body: 'mine' } }), 403, 'article', 'forbidden')
  refused(await john.send('DELETE', `/articles/${slug}`), 403, 'article', 'forbidden')
  refused(await john.send('DELETE', '/articles/no-such-thing'), 404, 'article', 'not found')
  refused(await nobody.send('GET', '/articles/no-such-thing'), 404, 'article', 'not found')
  return slug
}

async function reactions(jane: Person, john: Person, nobody: Person, slug: string): Promise<void> {
  const answers = await Promise.all([1, 2, 3, 4].map(() => john.send('POST', `/articles/${slug}/favorite`, '')))
  assert.deepEqual(answers.map(({ body }) => [body.article.favoritesCount, body.article.favorited]), answers.map(() => [1, true]), 'at the same moment, counted once')
  assert.equal((await john.send('POST', `/articles/${slug}/favorite`, '')).body.article.favoritesCount, 1, 'and again')
  assert.deepEqual((await john.send('GET', `/articles/${slug}`)).body.article.favorited, true)
  assert.equal((await nobody.send('GET', `/articles?favorited=${john.name}`)).body.articlesCount, 1)
  assert.equal((await nobody.send('GET', `/articles/${slug}`)).body.article.favoritesCount, 1)
  const unfavorited = await john.send('DELETE', `/articles/${slug}/favorite`, '')
  assert.deepEqual([unfavorited.status, unfavorited.body.article.favoritesCount, unfavorited.body.article.favorited], [200, 0, false])
  assert.equal((await john.send('DELETE', `/articles/${slug}/favorite`, '')).body.article.favoritesCount, 0, 'and again')
  assert.equal((await nobody.send('GET', `/articles?favorited=${john.name}`)).body.articlesCount, 0)
  refused(await john.send('POST', `/articles/${slug}/comments`, { comment: { body: '' } }), 422, 'body', blank)
  const commented = await john.send('POST', `/articles/${slug}/comments`, { comment: { body: 'thank you' } })
  const { comment } = commented.body
  assert.deepEqual([commented.status, Number.isInteger(comment.id), comment.body, comment.author.username], [201, true, 'thank you', john.name])
  refused(await jane.send('DELETE', `/articles/${slug}/comments/${comment.id}`), 403, 'comment', 'forbidden')
  refused(await john.send('DELETE', `/articles/${slug}/comments/999999`), 404, 'comment', 'not found')
  refused(await john.send('DELETE', '/articles/no-such-thing/comments/1'), 404, 'article', 'not found')
  assert.equal((await nobody.send('GET', `/articles/${slug}/comments`)).body.comments[0].author.username, john.name)
  assert.equal((await john.send('DELETE', `/articles/${slug}/comments/${comment.id}`)).status, 204)
  assert.deepEqual((await nobody.send('GET', `/articles/${slug}/comments`)).body, { comments: [] })
}

async function feeds(jane: Person, john: Person, nobody: Person, slug: string): Promise<void> {
  refused(await nobody.send('GET', '/articles/feed'), 401, 'token', 'is missing')
  assert.deepEqual((await john.send('GET', '/articles/feed')).body, { articles: [], articlesCount: 0 })
  const followed = await john.send('POST', `/profiles/${jane.name}/follow`, '')
  assert.deepEqual([followed.status, followed.body], [200, { profile: { username: jane.name, bio: null, image: null, following: true } }])
  const { body } = await john.send('GET', '/articles/feed')
  assert.deepEqual([body.articlesCount, body.articles[0].slug, body.articles[0].author.following], [1, slug, true])
  assert.equal((await john.send('GET', `/profiles/${jane.name}`)).body.profile.following, true)
  assert.ok(!('body' in body.articles[0]))
  assert.equal((await nobody.send('GET', `/profiles/${jane.name}`)).body.profile.following, false)
  const left = await john.send('DELETE', `/profiles/${jane.name}/follow`, '')
  assert.deepEqual([left.status, left.body.profile.following], [200, false])
  assert.equal((await john.send('GET', '/articles/feed')).body.articlesCount, 0)
  refused(await nobody.send('GET', '/profiles/no-such-person'), 404, 'profile', 'not found')
}

/** Who nobody is comes before whether the thing exists, and that before whose it is. */
async function order(john: Person, nobody: Person, slug: string): Promise<void> {
  const forged = new Person(nobody.url)
  forged.token = 'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.'
  const none = '/articles/no-such-thing'
  const calls: [string, string, unknown, string][] = [
    ['PUT', none, { article: { body: 'b' } }, 'article'], ['DELETE', none, undefined, 'article'], ['POST', `${none}/favorite`, undefined, 'article'],
    ['DELETE', `${none}/favorite`, undefined, 'article'], ['POST', `${none}/comments`, { comment: { body: 'b' } }, 'article'], ['DELETE', `${none}/comments/1`, undefined, 'article'],
    ['POST', '/profiles/no-such-person/follow', undefined, 'profile'], ['DELETE', '/profiles/no-such-person/follow', undefined, 'profile'],
  ]
  for (const [method, path, body, what] of calls) {
    refused(await nobody.send(method, path, body), 401, 'token', 'is missing')
    const refusal = await forged.send(method, path, body)
    assert.deepEqual([refusal.status, Object.keys(refusal.body.errors)], [401, ['token']])
    refused(await john.send(method, path, body), 404, what, 'not found')
  }
  refused(await nobody.send('DELETE', `/articles/${slug}`), 401, 'token', 'is missing')
  refused(await nobody.send('GET', `${none}/comments`), 404, 'article', 'not found')
}

/** More than a page of articles, made as fast as they can be. */
async function pages(nobody: Person): Promise<void> {
  const writer = new Person(nobody.url)
  await writer.register()
  const made: string[] = []
  for (let number = 0; number < 21; number++) {
    const { body } = await writer.send('POST', '/articles', { article: { title: `Page ${number}`, description: 'd', body: 'b', tagList: [] } })
    made.unshift(body.article.slug)
  }
  nobody.follow(writer)
  const slugsOf = async (query: string) => {
    const { body } = await nobody.send('GET', `/articles?author=${writer.name}${query}`)
    assert.equal(body.articlesCount, 21, 'the total, before paging')
    return body.articles.map((one: any) => one.slug) as string[]
  }
  assert.deepEqual(await slugsOf(''), made.slice(0, 20), 'twenty unless asked otherwise, newest first')
  assert.deepEqual(await slugsOf('&offset=20'), made.slice(20))
  assert.deepEqual(await slugsOf('&limit=5&offset=3'), made.slice(3, 8))
}

async function crossOrigin(url: string): Promise<void> {
  const asked = { origin: 'http://elsewhere.example', 'access-control-request-method': 'PUT', 'access-control-request-headers': 'authorization,content-type' }
  const preflight = await fetch(`${url}/api/user`, { method: 'OPTIONS', headers: asked })
  assert.ok(preflight.ok)
  const allowed = (name: string) => preflight.headers.get(`access-control-allow-${name}`)?.toLowerCase() ?? ''
  assert.match(allowed('headers'), /authorization/)
  assert.match(allowed('headers'), /content-type/)
  assert.match(allowed('methods'), /put/)
  const answer = await fetch(`${url}/api/tags`, { headers: { origin: asked.origin } })
  for (const one of [preflight, answer]) assert.ok(['*', asked.origin].includes(one.headers.get('access-control-allow-origin') ?? ''))
}

export async function runCases(url: string): Promise<void> {
  const [jane, john, nobody] = [new Person(url), new Person(url), new Person(url)]
  await jane.register()
  await john.register()
  await accounts(jane, nobody)
  await avatar(jane, nobody)
  const slug = await articles(jane, john, nobody)
  await reactions(jane, john, nobody, slug)
  await feeds(jane, john, nobody, slug)
  await order(john, nobody, slug)
  await pages(nobody)
  await crossOrigin(url)
  assert.equal((await jane.send('DELETE', `/articles/${slug}`)).status, 204)
  refused(await nobody.send('GET', `/articles/${slug}`), 404, 'article', 'not found')
}
