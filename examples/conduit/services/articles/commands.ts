/** Writing articles. All of an article lies in its author's bucket, which its slug carries. */
import { bucketOfHandle, fault, keyOfHandle, keyOfId, newHandle } from 'tenfold'
import type { CommandContext } from 'tenfold'
import { z } from 'zod'
import { articleLists, articleTag, commentsTag } from '../../freshness.ts'
import { address, required } from '../../shapes.ts'
import { people } from '../accounts/queries.ts'
import { edited, published, removed } from './events.ts'
import { authors } from './projections.ts'
import { Article, unknownArticle } from './queries.ts'
import { articles } from './service.ts'
import type { ArticleRow, Tables } from './service.ts'
import { articleView } from './view.ts'
import type { AuthorRow } from './view.ts'

export const bySlug = z.object({ slug: address })
const title = required(512)
const description = required(4_096)
const body = required(262_144)
const tagList = z.array(required(64)).max(64).transform(tags => [...new Set(tags)].sort())

type Writing = CommandContext<Tables, { readonly id: string }>

/** The readable part of a slug, then the handle. */
function slugOf(title: string, handle: string): string {
  const words = title.toLowerCase().normalize('NFKD').replace(/\p{M}/gu, '').replace(/[^\p{L}\p{N}]+/gu, '-').slice(0, 100).replace(/^-+|-+$/g, '')
  return words === '' ? `article-${handle}` : `${words}-${handle}`
}

/** The article, locked until the command ends; refused unless it is the caller's own. */
async function own(context: Writing, slug: string): Promise<ArticleRow> {
  const row = await context.db.selectFrom('article').selectAll().where('slug', '=', slug).forUpdate().executeTakeFirst()
  if (!row) throw unknownArticle()
  if (row.author_id !== context.user.id) throw fault('FORBIDDEN', 'the article is somebody else\'s', { fields: { article: ['forbidden'] } })
  return row
}

/** The caller, asked for at their owner and remembered before their read model tells of them: every article has its author here. */
async function newcomer(context: Writing): Promise<AuthorRow | undefined> {
  const [person] = await context.call(people, { ids: [context.user.id] })
  if (person) await context.sql`
    INSERT INTO author (bucket, id, username, bio, image)
    VALUES (${context.bucket}, ${person.id}, ${person.username}, ${person.bio}, ${person.image}) ON CONFLICT DO NOTHING`
  return person
}

/** Who wrote the article, as this service remembers it; their read model lies in the article's bucket. */
const authorOf = (context: Writing, slug: string): Promise<AuthorRow[]> => context.sql<AuthorRow>`
  SELECT w.username, w.bio, w.image FROM article a JOIN author w ON w.bucket = a.bucket AND w.id = a.author_id
  WHERE a.bucket = ${context.bucket} AND a.slug = ${slug}`

/** The answer of a command, from the row it has just written. */
async function answer(context: Writing, row: ArticleRow, author: AuthorRow | undefined, favorited: boolean) {
  return { article: await articleView(context, row, author ?? { username: '', bio: null, image: null }, favorited) }
}

const shownBy = (slug: string): string[] => [articleLists, articleTag(slug), commentsTag(slug)]

export const publish = articles.command({
  http: 'POST /api/articles', auth: 'required', status: 201, reads: [authors], summary: 'Publish an article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input: z.object({ article: z.object({ title, description, body, tagList: tagList.optional() }) }),
  output: z.object({ article: Article }),
  key: (_, { user }) => keyOfId(user.id),
  invalidates: (_, { output }) => shownBy(output.article.slug),
  async run(context, { article: { title, description, body, tagList = [] } }) {
    const { now } = context
    const row: ArticleRow = {
      id: context.newId(), slug: slugOf(title, newHandle(context.bucket)), title, description, body, tags: tagList,
      author_id: context.user.id, favorites_count: 0, comment_sequence: 0, created_at: now, updated_at: now,
    }
    // The author as this service remembers them.
    const [known] = await context.read<AuthorRow>`SELECT username, bio, image FROM author WHERE bucket = ${context.bucket} AND id = ${row.author_id}`
    // With COMMIT: all who publish in this bucket wait for the same number.
    context.write`
      WITH counted AS (
        INSERT INTO shelf (bucket, articles) VALUES (${context.bucket}, 1)
        ON CONFLICT (bucket) DO UPDATE SET articles = shelf.articles + 1
      )
      INSERT INTO article (bucket, id, slug, title, description, body, tags, author_id, created_at, updated_at)
      VALUES (${context.bucket}, ${row.id}, ${row.slug}, ${title}, ${description}, ${body}, ${tagList}, ${row.author_id}, ${now}, ${now})`
    context.emit(published, { id: row.id, author: row.author_id, tags: tagList, slug: row.slug, createdAt: now.toISOString() })
    return answer(context, row, known ?? await newcomer(context), false)
  },
})

export const edit = articles.command({
  http: 'PUT /api/articles/:slug', auth: 'required', reads: [authors], summary: 'Change an article',
  slo: { availability: 0.999, latency: { quantile: 0.99, withinMs: 500 } },
  input: bySlug.extend({ article: z.object({ title: title.optional(), description: description.optional(), body: body.optional(), tagList: tagList.optional() }) }),
  output: z.object({ article: Article }),
  key: ({ slug }) => keyOfHandle(slug),
  invalidates: ({ slug }, { output }) => [...shownBy(slug), ...shownBy(output.article.slug)],
  async run(context, { slug, article: { tagList, ...changes } }) {
    const before = await own(context, slug)
    const handle = slug.slice(slug.lastIndexOf('-') + 1)
    const renamed = changes.title !== undefined && changes.title !== before.title && bucketOfHandle(handle) !== null
    const tags = tagList ?? before.tags
    // updatedAt changes with every update, also with two in one millisecond.
    const updated_at = new Date(Math.max(context.now.getTime(), before.updated_at.getTime() + 1))
    const row: ArticleRow = { ...before, ...changes, tags, updated_at, slug: renamed ? slugOf(changes.title!, handle) : before.slug }
    await context.db.updateTable('article')
      .set({ title: row.title, description: row.description, body: row.body, tags, slug: row.slug, updated_at })
      .where('id', '=', row.id).execute()
    const added = tags.filter(tag => !before.tags.includes(tag))
    const dropped = before.tags.filter(tag => !tags.includes(tag))
    context.emit(edited, { id: row.id, author: row.author_id, tags, added, removed: dropped }, { key: keyOfId(row.author_id) })
    const [favorite, [author]] = await Promise.all([
      context.db.selectFrom('favorite').select('user_id').where('article_id', '=', row.id).where('user_id', '=', context.user.id).executeTakeFirst(),
      authorOf(context, row.slug),
    ])
    return answer(context, row, author, favorite !== undefined)
  },
})

export const remove = articles.command({
  http: 'DELETE /api/articles/:slug', auth: 'required', status: 204, summary: 'Remove an article',
  input: bySlug,
  output: z.undefined(),
  key: ({ slug }) => keyOfHandle(slug),
  invalidates: ({ slug }) => shownBy(slug),
  async run(context, { slug }) {
    const { id, author_id, tags } = await own(context, slug)
    await context.db.deleteFrom('comment').where('article_id', '=', id).execute()
    await context.db.deleteFrom('favorite').where('article_id', '=', id).execute()
    context.write`DELETE FROM article WHERE bucket = ${context.bucket} AND id = ${id}`
    context.write`UPDATE shelf SET articles = articles - 1 WHERE bucket = ${context.bucket}`
    context.emit(removed, { id, author: author_id, tags }, { key: keyOfId(author_id) })
    return undefined
  },
})
