/** Reading articles, comments and tags. Each list is one statement over the service's own tables. */
import { fault, keyOfHandle } from 'tenfold'
import { z } from 'zod'
import { allTags, articleLists, articleTag, commentsTag, persons, shared, viewTags } from '../../freshness.ts'
import { address, Paging, Profile, Summary } from '../../shapes.ts'
import { people, person } from '../accounts/queries.ts'
import { authors, tagUses } from './projections.ts'
import { articles } from './service.ts'
import type { Tables } from './service.ts'
import { article, following, summaries } from './view.ts'
import type { ViewRow } from './view.ts'

const { slug, title, description, ...rest } = Summary.shape
export const Article = z.object({ slug, title, description, body: z.string(), ...rest })
export const Comment = z.object({ id: z.number(), createdAt: z.string(), updatedAt: z.string(), body: z.string(), author: Profile })

export const unknownArticle = () => fault('NOT_FOUND', 'article not found', { fields: { article: ['not found'] } })

type Listed = ViewRow & { readonly total: number }

export const list = articles.query({
  http: 'GET /api/articles', auth: 'optional', scatter: true, reads: [authors], summary: 'Articles, newest first',
  freshness: shared, tags: (_, { user }) => [articleLists, persons, ...viewTags(user)],
  input: z.object({ tag: z.string().optional(), author: address.optional(), favorited: address.optional(), ...Paging }),
  output: z.object({ articles: z.array(Summary), articlesCount: z.number() }),
  async run(context, { tag, author, favorited, limit, offset }) {
    const viewer = context.user?.id ?? null
    const ids = await Promise.all([author, favorited].map(username => username === undefined ? undefined : context.call(person, { username })))
    if (ids.includes(null)) return { articles: [], articlesCount: 0 }
    const [writer, lover] = ids.map(one => one?.id)
    let rows: Listed[]
    if (tag === undefined && !writer && !lover) {
      rows = await context.sql<Listed>`
        SELECT a.slug, a.title, a.description, a.tags, a.created_at, a.updated_at, a.favorites_count, a.author_id, w.username, w.bio, w.image,
          f.user_id IS NOT NULL AS favorited,
          (SELECT count(*) FROM article) AS total
        FROM (SELECT * FROM article ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset}) a
        LEFT JOIN LATERAL (SELECT username, bio, image FROM author w WHERE w.bucket = a.bucket AND w.id = a.author_id LIMIT 1) w ON true
        LEFT JOIN LATERAL (SELECT user_id FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${viewer} LIMIT 1) f ON true
        ORDER BY a.created_at DESC, a.id DESC`
    } else {
      rows = await context.sql<Listed>`
        WITH matching AS (
          SELECT * FROM article a
          WHERE (${tag ?? null}::text IS NULL OR a.tags @> ARRAY[${tag ?? null}::text])
            AND (${writer ?? null}::uuid IS NULL OR a.author_id = ${writer ?? null}::uuid)
            AND (${lover ?? null}::uuid IS NULL OR a.id IN (SELECT article_id FROM favorite WHERE user_id = ${lover ?? null}::uuid))
        ), page AS (SELECT * FROM matching ORDER BY created_at DESC, id DESC LIMIT ${limit} OFFSET ${offset})
        SELECT a.slug, a.title, a.description, a.tags, a.created_at, a.updated_at, a.favorites_count, a.author_id, w.username, w.bio, w.image,
          f.user_id IS NOT NULL AS favorited,
          (SELECT count(*) FROM matching) AS total
        FROM page a
        LEFT JOIN LATERAL (SELECT username, bio, image FROM author w WHERE w.bucket = a.bucket AND w.id = a.author_id LIMIT 1) w ON true
        LEFT JOIN LATERAL (SELECT user_id FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${viewer} LIMIT 1) f ON true
        ORDER BY a.created_at DESC, a.id DESC`
    }
    // Beyond the last page there is no row to tell the total.
    const articlesCount = rows[0]?.total ?? (offset === 0 ? 0 : await countOf(context, { tag, writer, lover }))
    return { articles: await summaries(context, viewer, rows), articlesCount }
  },
})

async function countOf(context: Parameters<Parameters<typeof articles.query>[0]['run']>[0], filter: { tag?: string | undefined; writer?: string | undefined; lover?: string | undefined }): Promise<number> {
  const { tag = null, writer = null, lover = null } = filter
  const [row] = await context.sql<{ total: number }>`
    SELECT count(*) AS total FROM article
    WHERE (${tag}::text IS NULL OR tags @> ARRAY[${tag}::text]) AND (${writer}::uuid IS NULL OR author_id = ${writer}::uuid)
      AND (${lover}::uuid IS NULL OR id IN (SELECT article_id FROM favorite WHERE user_id = ${lover}::uuid))`
  return row!.total
}

export const one = articles.query({
  http: 'GET /api/articles/:slug', auth: 'optional', reads: [authors], summary: 'One article',
  freshness: shared, tags: ({ slug }, { user }) => [articleTag(slug), persons, ...viewTags(user)],
  input: z.object({ slug: address }),
  output: z.object({ article: Article }),
  key: ({ slug }) => keyOfHandle(slug),
  async run(context, { slug }) {
    const viewer = context.user?.id ?? null
    const [row] = await context.sql<ViewRow>`
      SELECT a.slug, a.title, a.description, a.body, a.tags, a.created_at, a.updated_at, a.favorites_count, a.author_id, w.username, w.bio, w.image,
        f.user_id IS NOT NULL AS favorited
      FROM article a
      LEFT JOIN LATERAL (SELECT username, bio, image FROM author w WHERE w.bucket = a.bucket AND w.id = a.author_id LIMIT 1) w ON true
      LEFT JOIN LATERAL (SELECT user_id FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${viewer} LIMIT 1) f ON true
      WHERE a.bucket = ${context.bucket} AND a.slug = ${slug}`
    if (!row) throw unknownArticle()
    return { article: await article(context, viewer, row) }
  },
})

/** Articles by id, for the feed: the viewer follows all their authors. Newest first. */
export const followedOnes = articles.query({
  scatter: true, reads: [authors],
  input: z.object({ ids: z.array(z.string()), viewer: z.string() }),
  output: z.array(Summary),
  async run(context, { ids, viewer }) {
    const rows = await context.sql<ViewRow>`
      SELECT a.slug, a.title, a.description, a.tags, a.created_at, a.updated_at, a.favorites_count, a.author_id, w.username, w.bio, w.image,
        f.user_id IS NOT NULL AS favorited
      FROM article a
      LEFT JOIN LATERAL (SELECT username, bio, image FROM author w WHERE w.bucket = a.bucket AND w.id = a.author_id LIMIT 1) w ON true
      LEFT JOIN LATERAL (SELECT user_id FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${viewer} LIMIT 1) f ON true
      WHERE a.id = ANY (${ids}::uuid[]) ORDER BY a.created_at DESC, a.id DESC`
    return summaries(context, viewer, rows, true)
  },
})

export const tags = articles.query({
  http: 'GET /api/tags', scatter: true, reads: [tagUses], summary: 'All tags in use',
  freshness: shared, tags: () => [allTags],
  input: z.object({}),
  output: z.object({ tags: z.array(z.string()) }),
  async run(context) {
    const rows = await context.sql<{ name: string }>`SELECT name FROM tag WHERE uses > 0 ORDER BY name`
    return { tags: rows.map(row => row.name) }
  },
})

export const comments = articles.query({
  http: 'GET /api/articles/:slug/comments', auth: 'optional', summary: 'The comments of an article',
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
