/** The typed client against the running Conduit; its types are checked where `@ts-expect-error` stands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createClient, isTenfoldError } from '../src/index.ts'
import { app } from '../examples/conduit/app.ts'
import { startDeployment } from './support/deployment.ts'

test('the typed client', async t => {
  const deployment = await startDeployment()
  t.after(() => deployment.close())
  let token = ''
  const client = createClient(app, deployment.url, { headers: () => token ? { authorization: `Token ${token}` } : {} as Record<string, string> })
  const { user } = await client.accounts.register({ user: { username: 'jane', email: 'jane@example.com', password: 'password123' } })
  token = user.token
  const username: string = user.username
  const { article } = await client.articles.publish({ article: { title: 'One', description: 'd', body: 'b', tagList: ['x'] } })
  assert.equal(article.author.username, username)
  assert.deepEqual((await client.articles.one({ slug: article.slug })).article, article)
  assert.deepEqual((await client.articles.tags({})).tags, ['x'])
  assert.equal((await client.articles.list({ tag: 'x', limit: 5 })).articlesCount, 1)
  const refused = await client.articles.one({ slug: 'none' }).then(() => null, (error: unknown) => error)
  assert.ok(isTenfoldError(refused) && refused.code === 'NOT_FOUND')
  const typed = async () => {
    // @ts-expect-error: a slug is a text
    await client.articles.one({ slug: 1 })
    // @ts-expect-error: an article has no such field
    article.titel
    // @ts-expect-error: events cannot be called
    client.articles.published
  }
  assert.equal(typeof typed, 'function')
})
