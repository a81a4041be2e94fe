/** Someone who publishes an article, looks at it, and mends it once. */
import { journey } from 'tenfold/load'
import { authorization, prepareSite } from './site.ts'

export const writer = journey({
  name: 'writer', weight: 5, thinkMs: 5_000, prepare: prepareSite,
  async run(user, { tags, tokens }) {
    user.headers.authorization = authorization(user.pick(tokens))
    const title = `Notes on load ${user.unique()}`
    const article = { title, description: 'Written under load', body: 'What is measured gets better. '.repeat(20), tagList: tags.length > 0 ? [user.popular(tags)] : [] }
    const published = await user.post('publish', '/api/articles', { article }, {
      found: answer => ({ path: `/api/articles/${slugOf(answer)}`, has: title }),
    })
    const path = `/api/articles/${slugOf(published)}`
    await user.get('article', path, { thinkMs: 500 })
    const description = `Written under load, mended (${user.unique()})`
    await user.put('edit', path, { article: { description } }, { found: () => ({ path, has: description }) })
  },
})

const slugOf = (answer: { json<T>(): T }): string => answer.json<{ article: { slug: string } }>().article.slug
