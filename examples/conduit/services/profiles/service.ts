/** Profiles: how people see each other, and who follows whom. */
import { service } from 'tenfold'

export const profiles = service('profiles', { migrations: new URL('./migrations/', import.meta.url) })
  .tables<{ follow: { follower_id: string; followee_id: string } }>()
