/** Reading articles, comments and tags. Each answer is one statement over the service's own tables, and its text as well. */
import { fault, JsonText, keyOfHandle } from 'tenfold'
import type { QueryContext } from 'tenfold'
import { z } from 'zod'
import { allTags, articleLists, articleTag, commentsTag, favoriteLists, itemTags, persons, shared, viewTags } from '../../freshness.ts'
import { address, Paging, Profile, Summary } from '../../shapes.ts'
import { people, person } from '../accounts/queries.ts'
import { authors, followers, tagUses } from './projections.ts'
import { articles } from './service.ts'
import type { Tables } from './service.ts'
import { following } from './view.ts'

const { slug, title, description, ...rest } = Summary.shape
export const Article = z.object({ slug, title, description, body: z.string(), ...rest })
export const Comment = z.object({ id: z.number(), createdAt: z.string(), updatedAt: z.string(), body: z.string(), author: Profile })

export const unknownArticle = () => fault('NOT_FOUND', 'article not found', { fields: { article: ['not found'] } })

type Reading = Pick<QueryContext, 'sql'>
interface Filter { readonly tag?: string | undefined; readonly writer?: string | undefined; readonly lover?: string | undefined }
interface Page { readonly ids: readonly string[]; readonly total: number }
interface Text { readonly text: string }

export const list = articles.query({
  http: 'GET /api/articles', auth: 'optional', scatter: true, reads: [authors, followers], summary: 'Articles, newest first',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: shared,
  tags: ({ favorited }, { user, output }) => [articleLists, ...favorited === undefined ? [] : [favoriteLists], ...itemTags(output?.articles), persons, ...viewTags(user)],
  input: z.object({ tag: z.string().optional(), author: address.optional(), favorited: address.optional(), ...Paging }),
  output: z.object({ articles: z.array(Summary), articlesCount: z.number() }),
  async run(context, { tag, author, favorited, limit, offset }) {
    const viewer = context.user?.id ?? null
    if (tag === undefined && author === undefined && favorited === undefined) return newest(context, viewer, limit, offset)
    const people = await Promise.all([author, favorited].map(username => username === undefined ? undefined : context.call(person, { username })))
    if (people.includes(null)) return { articles: [], articlesCount: 0 }
    const filter = { tag, writer: people[0]?.id, lover: people[1]?.id }
    const page = await pageOf(context, filter, limit, offset)
    // Beyond the last page there is no row to tell the total.
    const { total } = page.ids.length > 0 || offset === 0 ? page : await pageOf(context, filter, 1, 0)
    return new JsonText(`{"articles":${await summaries(context, page.ids, viewer)},"articlesCount":${total}}`)
  },
})

/**
 * The newest of all, as the answer's own text: rows would cost the application more than the
 * database. A page is chosen first; what belongs to its rows lies in their bucket.
 */
async function newest({ sql }: Reading, viewer: string | null, limit: number, offset: number): Promise<JsonText> {
  const [found] = await sql<Text>`
    SELECT concat('{"articles":[', string_agg(row_to_json(item)::text, ','), '],"articlesCount":', (SELECT coalesce(sum(articles), 0) FROM shelf), '}') AS text FROM (
      SELECT a.slug, a.title, a.description, a.tags AS "tagList",
        to_char(a.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt", to_char(a.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt",
        f.user_id IS NOT NULL AS favorited,
        a.favorites_count AS "favoritesCount",
        (SELECT author FROM (SELECT coalesce(w.username, '') AS username, w.bio, w.image, o.follower_id IS NOT NULL AS following) author) AS author
      FROM (SELECT * FROM article ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}) a
      LEFT JOIN LATERAL (SELECT username, bio, image FROM author WHERE bucket = a.bucket AND id = a.author_id LIMIT 1) w ON true
      LEFT JOIN LATERAL (SELECT user_id FROM favorite WHERE bucket = a.bucket AND article_id = a.id AND user_id = ${viewer} LIMIT 1) f ON true
      LEFT JOIN LATERAL (SELECT follower_id FROM follower WHERE bucket = a.bucket AND author_id = a.author_id AND follower_id = ${viewer} LIMIT 1) o ON true
      ORDER BY a.created_at DESC, a.id DESC) item`
  return new JsonText(found!.text)
}

/** Articles by id, newest first, as the text of a list. */
async function summaries({ sql }: Reading, ids: readonly string[], viewer: string | null): Promise<string> {
  const [found] = await sql<Text>`
    SELECT concat('[', string_agg(row_to_json(item)::text, ','), ']') AS text FROM (
      SELECT a.slug, a.title, a.description, a.tags AS "tagList",
        to_char(a.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt", to_char(a.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt",
        f.user_id IS NOT NULL AS favorited,
        a.favorites_count AS "favoritesCount",
        (SELECT author FROM (SELECT coalesce(w.username, '') AS username, w.bio, w.image, o.follower_id IS NOT NULL AS following) author) AS author
      FROM (SELECT * FROM article WHERE id = ANY (${ids}::uuid[])) a
      LEFT JOIN LATERAL (SELECT username, bio, image FROM author WHERE bucket = a.bucket AND id = a.author_id LIMIT 1) w ON true
      LEFT JOIN LATERAL (SELECT user_id FROM favorite WHERE bucket = a.bucket AND article_id = a.id AND user_id = ${viewer} LIMIT 1) f ON true
      LEFT JOIN LATERAL (SELECT follower_id FROM follower WHERE bucket = a.bucket AND author_id = a.author_id AND follower_id = ${viewer} LIMIT 1) o ON true
      ORDER BY a.created_at DESC, a.id DESC) item`
  return found!.text
}

/** The same of authors whom the viewer follows, which their feed knows. */
async function followedSummaries({ sql }: Reading, ids: readonly string[], viewer: string): Promise<string> {
  const [found] = await sql<Text>`
    SELECT concat('[', string_agg(row_to_json(item)::text, ','), ']') AS text FROM (
      SELECT a.slug, a.title, a.description, a.tags AS "tagList",
        to_char(a.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt", to_char(a.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt",
        f.user_id IS NOT NULL AS favorited,
        a.favorites_count AS "favoritesCount",
        (SELECT author FROM (SELECT coalesce(w.username, '') AS username, w.bio, w.image, true AS following) author) AS author
      FROM (SELECT * FROM article WHERE id = ANY (${ids}::uuid[])) a
      LEFT JOIN LATERAL (SELECT username, bio, image FROM author WHERE bucket = a.bucket AND id = a.author_id LIMIT 1) w ON true
      LEFT JOIN LATERAL (SELECT user_id FROM favorite WHERE bucket = a.bucket AND article_id = a.id AND user_id = ${viewer} LIMIT 1) f ON true
      ORDER BY a.created_at DESC, a.id DESC) item`
  return found!.text
}

/** Each filter is a statement of its own, so that each has a plan of its own. */
async function pageOf(context: Reading, filter: Filter, limit: number, offset: number): Promise<Page> {
  interface Row { readonly id: string; readonly total: number }
  const [tag, writer, lover] = [filter.tag ?? null, filter.writer ?? null, filter.lover ?? null]
  let rows: Row[]
  if (tag !== null && writer === null && lover === null) {
    rows = await context.sql<Row>`
      SELECT id, count(*) OVER () AS total FROM article WHERE tags @> ARRAY[${tag}::text]
      ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}`
  } else if (tag === null && writer !== null && lover === null) {
    rows = await context.sql<Row>`
      SELECT id, count(*) OVER () AS total FROM article WHERE author_id = ${writer}
      ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}`
  } else if (tag === null && writer === null && lover !== null) {
    rows = await context.sql<Row>`
      SELECT a.id, count(*) OVER () AS total FROM favorite f JOIN article a ON a.bucket = f.bucket AND a.id = f.article_id WHERE f.user_id = ${lover}
      ORDER BY a.created_at DESC, a.id DESC LIMIT ${limit} OFFSET ${offset}`
  } else {
    rows = await context.sql<Row>`
      SELECT id, count(*) OVER () AS total FROM article
      WHERE (${tag}::text IS NULL OR tags @> ARRAY[${tag}::text]) AND (${writer}::uuid IS NULL OR author_id = ${writer}::uuid)
        AND (${lover}::uuid IS NULL OR id IN (SELECT article_id FROM favorite WHERE user_id = ${lover}::uuid))
      ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}`
  }
  return { ids: rows.map(row => row.id), total: rows[0]?.total ?? 0 }
}

export const one = articles.query({
  http: 'GET /api/articles/:slug', auth: 'optional', reads: [authors, followers], summary: 'One article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: shared, tags: ({ slug }, { user }) => [articleTag(slug), persons, ...viewTags(user)],
  input: z.object({ slug: address }),
  output: z.object({ article: Article }),
  key: ({ slug }) => keyOfHandle(slug),
  async run(context, { slug }) {
    const viewer = context.user?.id
    // To nobody nothing is a favorite, and nobody is followed.
    const [found] = viewer === undefined ? await context.sql<Text>`
      SELECT concat('{"article":', row_to_json(item), '}') AS text FROM (
        SELECT a.slug, a.title, a.description, a.body, a.tags AS "tagList",
          to_char(a.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt", to_char(a.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt",
          false AS favorited, a.favorites_count AS "favoritesCount",
          (SELECT author FROM (SELECT coalesce(w.username, '') AS username, w.bio, w.image, false AS following) author) AS author
        FROM article a LEFT JOIN author w ON w.bucket = a.bucket AND w.id = a.author_id
        WHERE a.bucket = ${context.bucket} AND a.slug = ${slug}) item` : await context.sql<Text>`
      SELECT concat('{"article":', row_to_json(item), '}') AS text FROM (
        SELECT a.slug, a.title, a.description, a.body, a.tags AS "tagList",
          to_char(a.created_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "createdAt", to_char(a.updated_at, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "updatedAt",
          f.user_id IS NOT NULL AS favorited, a.favorites_count AS "favoritesCount",
          (SELECT author FROM (SELECT coalesce(w.username, '') AS username, w.bio, w.image, o.follower_id IS NOT NULL AS following) author) AS author
        FROM article a LEFT JOIN author w ON w.bucket = a.bucket AND w.id = a.author_id
        LEFT JOIN favorite f ON f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${viewer}
        LEFT JOIN follower o ON o.bucket = a.bucket AND o.author_id = a.author_id AND o.follower_id = ${viewer}
        WHERE a.bucket = ${context.bucket} AND a.slug = ${slug}) item`
    if (!found) throw unknownArticle()
    return new JsonText(found.text)
  },
})

/** Articles by id, for the feed: the viewer follows all their authors. Newest first. */
export const followedOnes = articles.query({
  scatter: true, reads: [authors],
  input: z.object({ ids: z.array(z.string()), viewer: z.string() }),
  output: z.array(Summary),
  run: async (context, { ids, viewer }) => new JsonText(await followedSummaries(context, ids, viewer)),
})

export const tags = articles.query({
  http: 'GET /api/tags', scatter: true, reads: [tagUses], summary: 'All tags in use',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: shared, tags: () => [allTags],
  input: z.object({}),
  output: z.object({ tags: z.array(z.string()) }),
  async run(context) {
    const [found] = await context.sql<Text>`
      SELECT concat('{"tags":', array_to_json(ARRAY(SELECT name FROM tag WHERE uses > 0 ORDER BY name)), '}') AS text`
    return new JsonText(found!.text)
  },
})

export const comments = articles.query({
  http: 'GET /api/articles/:slug/comments', auth: 'optional', summary: 'The comments of an article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 200 } },
  freshness: shared, tags: ({ slug }, { user }) => [commentsTag(slug), persons, ...viewTags(user)],
  input: z.object({ slug: address }),
  output: z.object({ comments: z.array(Comment) }),
  key: ({ slug }) => keyOfHandle(slug),
  async run(context, { slug }) {
    const [found] = await context.sql<{ id: string }>`SELECT id FROM article WHERE bucket = ${context.bucket} AND slug = ${slug}`
    if (!found) throw unknownArticle()
    const rows = await context.sql<Tables['comment']>`
      SELECT id, author_id, body, created_at, updated_at FROM comment
      WHERE bucket = ${context.bucket} AND article_id = ${found.id} ORDER BY id`
    // Commenters live in buckets of their own: their service is asked.
    const ids = [...new Set(rows.map(row => row.author_id))]
    const [follows, writers] = await Promise.all([following(context, context.user?.id ?? null, rows), ids.length === 0 ? [] : context.call(people, { ids })])
    const byId = new Map(writers.map(one => [one.id, one]))
    return { comments: rows.map(row => {
      const { username = '', bio = null, image = null } = byId.get(row.author_id) ?? {}
      return {
        id: row.id, createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString(), body: row.body,
        author: { username, bio, image, following: follows.has(row.author_id) },
      }
    }) }
  },
})
