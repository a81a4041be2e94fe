/** The caller's notifications, newest first. */
import { keyOfId } from 'tenfold'
import { z } from 'zod'
import { notifications } from './service.ts'

export const newest = notifications.query({
  http: 'GET /api/notifications', auth: 'required', summary: 'What happened to my articles',
  input: z.object({}),
  output: z.object({ notifications: z.array(z.object({ id: z.string(), article: z.string(), actor: z.string(), createdAt: z.string() })) }),
  key: (_, { user }) => keyOfId(user.id),
  async run(context) {
    const rows = await context.sql<{ id: string; article_id: string; actor_id: string; created_at: Date }>`
      SELECT id, article_id, actor_id, created_at FROM notification
      WHERE bucket = ${context.bucket} AND recipient_id = ${context.user.id} ORDER BY created_at DESC LIMIT 50`
    return { notifications: rows.map(row => ({ id: row.id, article: row.article_id, actor: row.actor_id, createdAt: row.created_at.toISOString() })) }
  },
})
