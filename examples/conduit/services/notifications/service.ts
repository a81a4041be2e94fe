/** Notifications: mails, and what happened to one's articles. */
import { service } from 'tenfold'

export const notifications = service('notifications', { migrations: new URL('./migrations/', import.meta.url) }).tables<{
  notification: { id: string; recipient_id: string; actor_id: string; article_id: string; created_at: Date }
  announcement: { article_id: string; author_id: string; announced_at: Date }
}>()
