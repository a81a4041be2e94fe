/** The feed: the newest articles of the people one follows, from read models of its own. */
import { service } from 'tenfold'

export const feed = service('feed', { migrations: new URL('./migrations/', import.meta.url) })
