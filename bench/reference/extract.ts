/** Reads Conduit's data out of its Postgres: the only place that knows the application's tables. */
import pg from 'pg'
import type { ArticleRow, Dataset, FavoriteRow, FollowRow, TagRow, UserRow } from './load.ts'

const queries = {
  users: 'select id::text, email, username, password, bio, image from accounts.account order by id',
  follows: 'select follower_id::text, followee_id::text from profiles.follow',
  articles: `select id::text, slug, title, description, body, tags, author_id::text, favorites_count,
    created_at::text, updated_at::text from articles.article order by created_at, id`,
  favorites: 'select article_id::text, user_id::text from articles.favorite',
  tags: 'select name from articles.tag where uses > 0',
}

export async function extract(url: string): Promise<Dataset> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const rows = async <Row extends pg.QueryResultRow>(text: string) => (await client.query<Row>(text)).rows
  try {
    await client.query("begin isolation level repeatable read read only; set local timezone = 'UTC'")
    return {
      users: await rows<UserRow>(queries.users),
      follows: await rows<FollowRow>(queries.follows),
      articles: await rows<ArticleRow>(queries.articles),
      favorites: await rows<FavoriteRow>(queries.favorites),
      tags: await rows<TagRow>(queries.tags),
    }
  } finally {
    await client.end()
  }
}
