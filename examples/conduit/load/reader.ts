/** Most people: they look at the front page or a tag, and read an article or a few. */
import { journey } from 'tenfold/load'
import { prepareSite } from './site.ts'

export const reader = journey({
  name: 'reader', weight: 80, thinkMs: 3_000, prepare: prepareSite,
  async run(user, { articles, tags }) {
    await user.get('front page', '/api/articles?limit=10')
    // The page asks for its tags by itself: nobody thinks before that.
    await user.get('tags', '/api/tags', { thinkMs: 0 })
    if (user.chance(0.3)) await user.get('articles of a tag', `/api/articles?limit=10&tag=${encodeURIComponent(user.popular(tags))}`)
    do {
      const { slug, author } = user.popular(articles)
      await user.get('article', `/api/articles/${slug}`)
      await user.get('comments', `/api/articles/${slug}/comments`, { thinkMs: 0 })
      if (user.chance(0.2)) await user.get('profile', `/api/profiles/${encodeURIComponent(author)}`)
    } while (user.chance(0.4))
  },
})
