/** The caller's feed: a page of ids from the read models here, and the articles from the service that has them. */
import { JsonText } from 'tenfold'
import { z } from 'zod'
import { articleLists, followerTag, itemTags, own, persons } from '../../freshness.ts'
import { Paging, Summary } from '../../shapes.ts'
import { followedOnes } from '../articles/queries.ts'
import { entries, following } from './projections.ts'
import { feed } from './service.ts'

export const mine = feed.query({
  http: 'GET /api/articles/feed', auth: 'required', scatter: true, reads: [following, entries], summary: 'Articles of the people I follow',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: own, tags: (_, { user, output }) => [articleLists, ...itemTags(output?.articles), persons, followerTag(user.id)],
  input: z.object(Paging),
  output: z.object({ articles: z.array(Summary), articlesCount: z.number() }),
  async run(context, { limit, offset }) {
    const viewer = context.user.id
    const [page] = await context.sql<{ ids: string[]; total: number }>`
      WITH mine AS MATERIALIZED (
        SELECT e.article_id, e.created_at FROM following f JOIN entry e ON e.author_id = f.followee_id WHERE f.follower_id = ${viewer}
      )
      SELECT (SELECT count(*) FROM mine) AS total,
        (SELECT coalesce(json_agg(article_id), '[]') FROM (SELECT article_id FROM mine ORDER BY created_at DESC, article_id DESC LIMIT ${limit} OFFSET ${offset}) newest) AS ids`
    const { ids, total } = page!
    if (ids.length === 0) return { articles: [], articlesCount: total }
    const { text } = await context.callText(followedOnes, { ids, viewer })
    return new JsonText(`{"articles":${text},"articlesCount":${total}}`)
  },
})
