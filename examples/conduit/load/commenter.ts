/** Someone with an account, who reads the feed, favors an article and says something about it. */
import { journey } from 'tenfold/load'
import { authorization, prepareSite } from './site.ts'

export const commenter = journey({
  name: 'commenter', weight: 12, thinkMs: 4_000, prepare: prepareSite,
  async run(user, { articles, tokens }) {
    user.headers.authorization = authorization(user.pick(tokens))
    await user.get('feed', '/api/articles/feed?limit=10')
    const { slug } = user.popular(articles)
    await user.get('article', `/api/articles/${slug}`)
    await user.get('comments', `/api/articles/${slug}/comments`, { thinkMs: 0 })
    if (user.chance(0.5)) await user.post('favorite', `/api/articles/${slug}/favorite`)
    const body = `I had not thought of that (${user.unique()})`
    await user.post('comment', `/api/articles/${slug}/comments`, { comment: { body } }, {
      found: () => ({ path: `/api/articles/${slug}/comments`, has: body }),
    })
    await user.get('comments', `/api/articles/${slug}/comments`, { thinkMs: 0 })
  },
})
