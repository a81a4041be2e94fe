/** The caller's feed. Two steps that hold on any number of shards: whom they follow, then those authors' entries. */
import { keyOfId } from 'tenfold'
import { z } from 'zod'
import { articleLists, followerTag, own, persons } from '../../freshness.ts'
import { Paging, Summary } from '../../shapes.ts'
import { followedOnes } from '../articles/queries.ts'
import { entries, following } from './projections.ts'
import { feed } from './service.ts'

export const mine = feed.query({
  http: 'GET /api/articles/feed', auth: 'required', scatter: true, reads: [following, entries], summary: 'Articles of the people I follow',
  freshness: own, tags: (_, { user }) => [articleLists, persons, followerTag(user.id)],
  input: z.object(Paging),
  output: z.object({ articles: z.array(Summary), articlesCount: z.number() }),
  async run(context, { limit, offset }) {
    const viewer = context.user.id
    const followees = await context.sql<{ followee_id: string }>`
      SELECT followee_id FROM following WHERE bucket = ${context.bucketOf(keyOfId(viewer))} AND follower_id = ${viewer}`
    if (followees.length === 0) return { articles: [], articlesCount: 0 }
    const authors = followees.map(row => row.followee_id)
    const rows = await context.sql<{ article_id: string | null; total: number }>`
      SELECT page.article_id, count.total
      FROM (SELECT count(*) AS total FROM entry WHERE author_id = ANY (${authors}::uuid[])) count
      LEFT JOIN (SELECT article_id FROM entry WHERE author_id = ANY (${authors}::uuid[])
        ORDER BY created_at DESC, article_id DESC LIMIT ${limit} OFFSET ${offset}) page ON true`
    const ids = rows.flatMap(row => row.article_id ?? [])
    return { articles: ids.length === 0 ? [] : await context.call(followedOnes, { ids, viewer }), articlesCount: rows[0]?.total ?? 0 }
  },
})
