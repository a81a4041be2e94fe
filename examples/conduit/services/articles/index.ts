/** The service `articles`: what it exports here is what it is. */
export { articles } from './service.ts'
export { edited, favorited, published, removed } from './events.ts'
export { authors, followers, tagUses } from './projections.ts'
export { comments, followedOnes, list, one, tags } from './queries.ts'
export { edit, publish, remove } from './commands.ts'
export { addComment, favorite, removeComment, unfavorite } from './reactions.ts'
