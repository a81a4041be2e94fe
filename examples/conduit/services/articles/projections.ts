/** What articles remember of others: who the authors are and who follows them, and how often each tag is used. */
import { keyOfId } from 'tenfold'
import { allTags, followerTag, persons } from '../../freshness.ts'
import { changed, registered } from '../accounts/events.ts'
import { followed, unfollowed } from '../profiles/events.ts'
import { edited, published, removed } from './events.ts'
import { articles } from './service.ts'

export const authors = articles.projection({
  on: [registered, changed],
  invalidates: batch => batch.of(changed).length > 0 ? [persons] : [],
  async run(context, batch) {
    // The last word on each person: one statement must not touch a row twice.
    const people = [...new Map(batch.all.map(({ payload }) => [payload.id, payload])).values()]
    await context.sql`
      INSERT INTO author (bucket, id, username, bio, image)
      SELECT * FROM unnest(${people.map(one => context.bucketOf(keyOfId(one.id)))}::smallint[], ${people.map(one => one.id)}::uuid[],
        ${people.map(one => one.username)}::text[], ${people.map(one => one.bio)}::text[], ${people.map(one => one.image)}::text[])
      ON CONFLICT (bucket, id) DO UPDATE SET username = excluded.username, bio = excluded.bio, image = excluded.image`
  },
})

/** Kept with the author, and so with their articles: a row of a list finds it in its own bucket. */
export const followers = articles.projection({
  on: [followed, unfollowed],
  invalidates: batch => batch.all.map(event => followerTag(event.payload.follower)),
  async run(context, batch) {
    // Only the last word on each pair counts, so the order within the batch is kept.
    const pairs = [...new Map(batch.all.map(event => [`${event.payload.follower} ${event.payload.followee}`, event])).values()]
    const rowsOf = (name: string) => pairs.filter(event => event.name === name).map(({ payload }) => payload)
    const [gone, made] = [rowsOf(unfollowed.name), rowsOf(followed.name)]
    if (gone.length > 0) await context.sql`
      DELETE FROM follower f USING unnest(${gone.map(one => context.bucketOf(keyOfId(one.followee)))}::smallint[], ${gone.map(one => one.followee)}::uuid[], ${gone.map(one => one.follower)}::uuid[]) AS gone (bucket, author, follower)
      WHERE f.bucket = gone.bucket AND f.author_id = gone.author AND f.follower_id = gone.follower`
    if (made.length > 0) await context.sql`
      INSERT INTO follower (bucket, author_id, follower_id)
      SELECT * FROM unnest(${made.map(one => context.bucketOf(keyOfId(one.followee)))}::smallint[], ${made.map(one => one.followee)}::uuid[], ${made.map(one => one.follower)}::uuid[])
      ON CONFLICT DO NOTHING`
  },
})

export const tagUses = articles.projection({
  on: [published, edited, removed],
  invalidates: () => [allTags],
  async run(context, batch) {
    const uses = new Map<string, number>()
    const count = (tags: readonly string[], by: number) => { for (const tag of tags) uses.set(tag, (uses.get(tag) ?? 0) + by) }
    for (const { payload } of batch.of(published)) count(payload.tags, 1)
    for (const { payload } of batch.of(removed)) count(payload.tags, -1)
    for (const { payload } of batch.of(edited)) { count(payload.added, 1); count(payload.removed, -1) }
    // In one order everywhere, so that two batches never wait for each other in a circle.
    const names = [...uses.keys()].filter(name => uses.get(name) !== 0).sort()
    if (names.length === 0) return
    await context.sql`
      INSERT INTO tag (bucket, name, uses)
      SELECT * FROM unnest(${names.map(name => context.bucketOf(name))}::smallint[], ${names}::text[], ${names.map(name => uses.get(name))}::int[])
      ON CONFLICT (bucket, name) DO UPDATE SET uses = tag.uses + excluded.uses`
  },
})
