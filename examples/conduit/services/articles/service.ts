/** Articles with their comments, favorites and tags. A slug ends in a handle that carries the bucket. */
import { service } from 'tenfold'

export interface ArticleRow {
  readonly id: string
  readonly slug: string
  readonly title: string
  readonly description: string
  readonly body: string
  readonly tags: string[]
  readonly author_id: string
  readonly favorites_count: number
  readonly comment_sequence: number
  readonly created_at: Date
  readonly updated_at: Date
}

export interface Tables {
  article: ArticleRow
  favorite: { article_id: string; user_id: string }
  comment: { article_id: string; id: number; author_id: string; body: string; created_at: Date; updated_at: Date }
  author: { bucket: number; id: string; username: string; bio: string | null; image: string | null }
  /** Who follows the author of an article. */
  follower: { bucket: number; author_id: string; follower_id: string }
  tag: { bucket: number; name: string; uses: number }
  shelf: { bucket: number; articles: number }
}

export const articles = service('articles', { migrations: new URL('./migrations/', import.meta.url) }).tables<Tables>()
