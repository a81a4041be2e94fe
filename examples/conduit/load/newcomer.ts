/** Someone who registers, follows the author of an article, and finds the feed filled. */
import { journey } from 'tenfold/load'
import { authorization, prepareSite, register } from './site.ts'

export const newcomer = journey({
  name: 'newcomer', weight: 3, thinkMs: 4_000, prepare: prepareSite,
  async run(user, { articles }) {
    await user.get('front page', '/api/articles?limit=10')
    user.headers.authorization = authorization(await register(user))
    const { slug, author } = user.popular(articles)
    await user.get('article', `/api/articles/${slug}`)
    await user.post('follow', `/api/profiles/${encodeURIComponent(author)}/follow`)
    await user.get('feed', '/api/articles/feed?limit=10')
  },
})
