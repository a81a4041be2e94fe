/** Read models of following and of what was published. Both lie with the author, so that a feed joins them on any shard. */
import { keyOfId } from 'tenfold'
import { articleLists, followerTag } from '../../freshness.ts'
import { published, removed } from '../articles/events.ts'
import { followed, unfollowed } from '../profiles/events.ts'
import { feed } from './service.ts'

export const following = feed.projection({
  on: [followed, unfollowed],
  invalidates: batch => batch.all.map(event => followerTag(event.payload.follower)),
  async run(context, batch) {
    // Only the last word on each pair counts, so the order within the batch is kept.
    const pairs = [...new Map(batch.all.map(event => [`${event.payload.follower} ${event.payload.followee}`, event])).values()]
    const gone = pairs.filter(event => event.name === unfollowed.name).map(event => event.payload)
    const made = pairs.filter(event => event.name === followed.name).map(event => event.payload)
    if (gone.length > 0) await context.sql`
      DELETE FROM following f USING unnest(${gone.map(one => context.bucketOf(keyOfId(one.followee)))}::smallint[], ${gone.map(one => one.follower)}::uuid[], ${gone.map(one => one.followee)}::uuid[]) AS gone (bucket, follower, followee)
      WHERE f.bucket = gone.bucket AND f.follower_id = gone.follower AND f.followee_id = gone.followee`
    if (made.length > 0) await context.sql`
      INSERT INTO following (bucket, follower_id, followee_id)
      SELECT * FROM unnest(${made.map(one => context.bucketOf(keyOfId(one.followee)))}::smallint[], ${made.map(one => one.follower)}::uuid[], ${made.map(one => one.followee)}::uuid[])
      ON CONFLICT DO NOTHING`
  },
})

export const entries = feed.projection({
  on: [published, removed],
  invalidates: () => [articleLists],
  async run(context, batch) {
    const made = batch.of(published).map(event => event.payload)
    const gone = batch.of(removed).map(event => event.payload.id)
    if (made.length > 0) await context.sql`
      INSERT INTO entry (bucket, author_id, created_at, article_id)
      SELECT * FROM unnest(${made.map(one => context.bucketOf(keyOfId(one.author)))}::smallint[], ${made.map(one => one.author)}::uuid[],
        ${made.map(one => one.createdAt)}::timestamptz[], ${made.map(one => one.id)}::uuid[])
      ON CONFLICT DO NOTHING`
    if (gone.length > 0) await context.sql`DELETE FROM entry WHERE article_id = ANY (${gone}::uuid[])`
  },
})
