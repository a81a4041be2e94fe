/** What readers do with an article: favor it and comment on it. */
import { fault, keyOfHandle } from 'tenfold'
import { z } from 'zod'
import { articleTag, commentsTag, favoriteLists } from '../../freshness.ts'
import { address, required } from '../../shapes.ts'
import { people } from '../accounts/queries.ts'
import { bySlug } from './commands.ts'
import { favorited } from './events.ts'
import { authors, followers } from './projections.ts'
import { Article, Comment, unknownArticle } from './queries.ts'
import { articles } from './service.ts'
import type { ArticleRow } from './service.ts'
import { viewOf } from './view.ts'
import type { AuthorRow } from './view.ts'

/**
 * The article as it is now, whether it was changed, and its author as the caller sees them: all in the article's
 * bucket. Asked for what is so already, nothing is written; what another request does at the same moment is waited
 * for, and the article updated by nothing, which reads it anew.
 */
type ChangedRow = ArticleRow & AuthorRow & { readonly changed: boolean; readonly following: boolean }

export const favorite = articles.command({
  http: 'POST /api/articles/:slug/favorite', auth: 'required', summary: 'Favor an article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input: bySlug,
  output: z.object({ article: Article }),
  reads: [authors, followers],
  key: ({ slug }) => keyOfHandle(slug),
  async run(context, { slug }) {
    const { bucket, user } = context
    const [row] = await context.sql<ChangedRow>`
      WITH made AS (
        INSERT INTO favorite (bucket, article_id, user_id)
        SELECT bucket, id, ${user.id} FROM article WHERE bucket = ${bucket} AND slug = ${slug}
        ON CONFLICT DO NOTHING RETURNING article_id
      ), counted AS (
        UPDATE article a SET favorites_count = favorites_count + (SELECT count(*) FROM made)
        WHERE bucket = ${bucket} AND slug = ${slug}
          AND NOT EXISTS (SELECT FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${user.id})
        RETURNING *
      ), a AS (
        SELECT *, EXISTS (SELECT FROM made) AS changed FROM counted
        UNION ALL SELECT *, false FROM article WHERE bucket = ${bucket} AND slug = ${slug} AND NOT EXISTS (SELECT FROM counted)
      )
      SELECT a.*, w.username, w.bio, w.image, o.follower_id IS NOT NULL AS following
      FROM a LEFT JOIN author w ON w.bucket = a.bucket AND w.id = a.author_id
      LEFT JOIN follower o ON o.bucket = a.bucket AND o.author_id = a.author_id AND o.follower_id = ${user.id}`
    if (!row) throw unknownArticle()
    // Done twice, it changes nothing that anybody is shown.
    if (row.changed) {
      context.emit(favorited, { article: row.id, author: row.author_id, user: user.id })
      context.invalidate(favoriteLists, articleTag(slug))
    }
    return { article: viewOf(row, row, true, row.following) }
  },
})

export const unfavorite = articles.command({
  http: 'DELETE /api/articles/:slug/favorite', auth: 'required', summary: 'Favor an article no more',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input: bySlug,
  output: z.object({ article: Article }),
  reads: [authors, followers],
  key: ({ slug }) => keyOfHandle(slug),
  async run(context, { slug }) {
    const { bucket, user } = context
    const [row] = await context.sql<ChangedRow>`
      WITH gone AS (
        DELETE FROM favorite f USING article a
        WHERE a.bucket = ${bucket} AND a.slug = ${slug} AND f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${user.id}
        RETURNING f.article_id
      ), counted AS (
        UPDATE article a SET favorites_count = favorites_count - (SELECT count(*) FROM gone)
        WHERE bucket = ${bucket} AND slug = ${slug}
          AND EXISTS (SELECT FROM favorite f WHERE f.bucket = a.bucket AND f.article_id = a.id AND f.user_id = ${user.id})
        RETURNING *
      ), a AS (
        SELECT *, EXISTS (SELECT FROM gone) AS changed FROM counted
        UNION ALL SELECT *, false FROM article WHERE bucket = ${bucket} AND slug = ${slug} AND NOT EXISTS (SELECT FROM counted)
      )
      SELECT a.*, w.username, w.bio, w.image, o.follower_id IS NOT NULL AS following
      FROM a LEFT JOIN author w ON w.bucket = a.bucket AND w.id = a.author_id
      LEFT JOIN follower o ON o.bucket = a.bucket AND o.author_id = a.author_id AND o.follower_id = ${user.id}`
    if (!row) throw unknownArticle()
    if (row.changed) context.invalidate(favoriteLists, articleTag(slug))
    return { article: viewOf(row, row, false, row.following) }
  },
})

export const addComment = articles.command({
  http: 'POST /api/articles/:slug/comments', auth: 'required', status: 201, summary: 'Comment on an article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input: bySlug.extend({ comment: z.object({ body: required(65_536) }) }),
  output: z.object({ comment: Comment }),
  key: ({ slug }) => keyOfHandle(slug),
  invalidates: ({ slug }) => [commentsTag(slug)],
  async run(context, { slug, comment: { body } }) {
    const { now, bucket, user } = context
    // The article counts its comments' ids, so that they are small whole numbers without a sequence.
    const [row] = await context.sql<{ id: number }>`
      WITH numbered AS (
        UPDATE article SET comment_sequence = comment_sequence + 1 WHERE bucket = ${bucket} AND slug = ${slug} RETURNING id, comment_sequence
      )
      INSERT INTO comment (bucket, article_id, id, author_id, body, created_at, updated_at)
      SELECT ${bucket}, id, comment_sequence, ${user.id}, ${body}, ${now}, ${now} FROM numbered RETURNING id`
    if (!row) throw unknownArticle()
    const [author] = await context.call(people, { ids: [user.id] })
    const { username = '', bio = null, image = null } = author ?? {}
    return { comment: { id: row.id, createdAt: now.toISOString(), updatedAt: now.toISOString(), body, author: { username, bio, image, following: false } } }
  },
})

export const removeComment = articles.command({
  http: 'DELETE /api/articles/:slug/comments/:id', auth: 'required', status: 204, summary: 'Remove a comment',
  input: bySlug.extend({ id: address }),
  output: z.undefined(),
  key: ({ slug }) => keyOfHandle(slug),
  invalidates: ({ slug }) => [commentsTag(slug)],
  async run(context, { slug, id }) {
    const found = await context.db.selectFrom('article').select('id').where('slug', '=', slug).executeTakeFirst()
    if (!found) throw unknownArticle()
    const number = /^\d{1,9}$/.test(id) ? Number(id) : 0
    const comment = await context.db.selectFrom('comment').select('author_id').where('article_id', '=', found.id).where('id', '=', number).executeTakeFirst()
    if (!comment) throw fault('NOT_FOUND', 'comment not found', { fields: { comment: ['not found'] } })
    if (comment.author_id !== context.user.id) throw fault('FORBIDDEN', 'the comment is somebody else\'s', { fields: { comment: ['forbidden'] } })
    await context.db.deleteFrom('comment').where('article_id', '=', found.id).where('id', '=', number).execute()
    return undefined
  },
})
