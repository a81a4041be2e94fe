/** The service `profiles`: what it exports here is what it is. */
export { profiles } from './service.ts'
export { followed, unfollowed } from './events.ts'
export { follow, followedBy, profile, unfollow } from './intents.ts'
