/**
 * Fills the reference's database from plain rows: its own schema, but the same ids, slugs,
 * moments and password hashes as in the application it is compared with.
 */
import pg from 'pg'
import { createSchema, dropSchema } from './schema.ts'

export interface UserRow { id: string; email: string; username: string; password: string; bio: string | null; image: string | null }
export interface FollowRow { follower_id: string; followee_id: string }
export interface FavoriteRow { article_id: string; user_id: string }
export interface TagRow { name: string }
export interface ArticleRow {
  id: string
  slug: string
  title: string
  description: string
  body: string
  tags: string[]
  author_id: string
  favorites_count: number
  created_at: string
  updated_at: string
}

export interface Dataset {
  readonly users: readonly UserRow[]
  readonly follows: readonly FollowRow[]
  readonly articles: readonly ArticleRow[]
  readonly favorites: readonly FavoriteRow[]
  readonly tags: readonly TagRow[]
}

const rowsPerInsert = 1_000

/** Replaces the whole content of the database at the url. */
export async function load(url: string, data: Dataset): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query('begin')
    await client.query(dropSchema)
    await client.query(createSchema)
    for (const table of ['users', 'follows', 'articles', 'favorites', 'tags'] as const) {
      const rows = data[table]
      if (rows.length === 0) continue
      // Named columns: the source's rows may have more of them, or fewer than the table.
      const columns = columnsOf[table].join(', ')
      for (let from = 0; from < rows.length; from += rowsPerInsert) {
        const chunk = JSON.stringify(rows.slice(from, from + rowsPerInsert))
        await client.query(`insert into ${table} (${columns}) select ${columns} from jsonb_populate_recordset(null::${table}, $1::jsonb)`, [chunk])
      }
    }
    await client.query('commit')
    // The count of all articles reads an index alone only while the visibility map is fresh.
    await client.query('vacuum analyze')
  } finally {
    await client.end()
  }
}

const columnsOf: { readonly [Table in keyof Dataset]: readonly (keyof Dataset[Table][number])[] } = {
  users: ['id', 'email', 'username', 'password', 'bio', 'image'],
  follows: ['follower_id', 'followee_id'],
  articles: ['id', 'slug', 'title', 'description', 'body', 'tags', 'author_id', 'favorites_count', 'created_at', 'updated_at'],
  favorites: ['article_id', 'user_id'],
  tags: ['name'],
}
