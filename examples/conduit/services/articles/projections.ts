/** What articles remember of others: who the authors are, and how often each tag is used. */
import { keyOfId } from 'tenfold'
import { allTags, persons } from '../../freshness.ts'
import { changed, registered } from '../accounts/events.ts'
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
