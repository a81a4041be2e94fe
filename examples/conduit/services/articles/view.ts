/** Rows as answers: authors filled in, and what the viewer follows. */
import type { z } from 'zod'
import type { QueryContext } from 'tenfold'
import type { Person, Profile, Summary } from '../../shapes.ts'
import { people } from '../accounts/queries.ts'
import { followedBy } from '../profiles/intents.ts'

/** An article joined with its author, as the statements of this service select it. */
export interface ViewRow {
  readonly slug: string
  readonly title: string
  readonly description: string
  readonly body?: string
  readonly tags: string[]
  /** Texts where the rows came as JSON. */
  readonly created_at: Date | string
  readonly updated_at: Date | string
  readonly favorited: boolean
  readonly favorites_count: number
  readonly author_id: string
  readonly username: string | null
  readonly bio: string | null
  readonly image: string | null
}

const moment = (at: Date | string): string => new Date(at).toISOString()

type Calls = Pick<QueryContext, 'call'>
type Authored = Pick<ViewRow, 'author_id' | 'username' | 'bio' | 'image'>

/** Whom of these authors the viewer follows; nobody's view follows nobody. */
export async function following(context: Calls, viewer: string | null, rows: readonly Pick<ViewRow, 'author_id'>[]): Promise<Set<string>> {
  // Nobody follows themselves, so what one wrote oneself needs no question.
  const others = [...new Set(rows.map(row => row.author_id))].filter(id => id !== viewer)
  if (viewer === null || others.length === 0) return new Set()
  return new Set(await context.call(followedBy, { follower: viewer, people: others }))
}

/** Authors whose read model has not arrived yet are asked for at their owner. */
async function missingAuthors(context: Calls, rows: readonly Authored[]): Promise<Map<string, Person>> {
  const ids = [...new Set(rows.filter(row => row.username === null).map(row => row.author_id))]
  if (ids.length === 0) return new Map()
  return new Map((await context.call(people, { ids })).map(one => [one.id, one]))
}

function authorView(row: Authored, missing: Map<string, Person>, isFollowing: boolean): z.output<typeof Profile> {
  const { username, bio, image } = row.username === null ? missing.get(row.author_id) ?? { username: '', bio: null, image: null } : { ...row, username: row.username }
  return { username, bio, image, following: isFollowing }
}

export async function summaries(context: Calls, viewer: string | null, rows: readonly ViewRow[], followsAll = false): Promise<z.output<typeof Summary>[]> {
  const [follows, missing] = await Promise.all([followsAll ? null : following(context, viewer, rows), missingAuthors(context, rows)])
  return rows.map(row => ({
    slug: row.slug, title: row.title, description: row.description, tagList: row.tags,
    createdAt: moment(row.created_at), updatedAt: moment(row.updated_at),
    favorited: row.favorited, favoritesCount: row.favorites_count,
    author: authorView(row, missing, follows === null || follows.has(row.author_id)),
  }))
}

/** A single article shows its body, between description and tags. */
export async function article(context: Calls, viewer: string | null, row: ViewRow) {
  const [summary] = await summaries(context, viewer, [row])
  const { slug, title, description, ...rest } = summary!
  return { slug, title, description, body: row.body!, ...rest }
}
