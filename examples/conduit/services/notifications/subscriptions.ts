/** What notifications do when something happens to articles. */
import { keyOfId } from 'tenfold'
import { favorited, published } from '../articles/events.ts'
import { announce } from './jobs.ts'
import { notifications } from './service.ts'

export const onPublished = notifications.subscribe({
  on: published,
  key: ({ author }) => keyOfId(author),
  async run(context, { payload: { id, author } }) { context.enqueue(announce, { article: id, author }) },
})

export const onFavorited = notifications.subscribe({
  on: favorited,
  key: ({ author }) => keyOfId(author),
  async run(context, { payload: { article, author, user } }) {
    if (author === user) return
    await context.db.insertInto('notification')
      .values({ id: context.newId(), recipient_id: author, actor_id: user, article_id: article, created_at: context.now }).execute()
  },
})
