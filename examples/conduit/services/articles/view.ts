/** What a command answers of an article it has just written. What is read is made by the database: queries.ts. */
import type { CommandContext, QueryContext } from 'tenfold'
import { followedBy } from '../profiles/intents.ts'
import type { ArticleRow } from './service.ts'

type Calls = Pick<QueryContext, 'call'>

/** Whom of these authors the viewer follows; nobody's view follows nobody. */
export async function following(context: Calls, viewer: string | null, rows: readonly { readonly author_id: string }[]): Promise<Set<string>> {
  // Nobody follows themselves, so what one wrote oneself needs no question.
  const others = [...new Set(rows.map(row => row.author_id))].filter(id => id !== viewer)
  if (viewer === null || others.length === 0) return new Set()
  return new Set(await context.call(followedBy, { follower: viewer, people: others }))
}

export interface AuthorRow { readonly username: string | null; readonly bio: string | null; readonly image: string | null }

type Writing = Pick<CommandContext<unknown, { readonly id: string }>, 'call' | 'user'>

export function viewOf(row: ArticleRow, { username, bio, image }: AuthorRow, favorited: boolean, follows: boolean) {
  return {
    slug: row.slug, title: row.title, description: row.description, body: row.body, tagList: row.tags,
    createdAt: row.created_at.toISOString(), updatedAt: row.updated_at.toISOString(), favorited, favoritesCount: row.favorites_count,
    author: { username: username ?? '', bio, image, following: follows },
  }
}

export async function articleView(context: Writing, row: ArticleRow, author: AuthorRow, favorited: boolean) {
  return viewOf(row, author, favorited, (await following(context, context.user.id, [row])).has(row.author_id))
}
