/** The service `notifications`: what it exports here is what it is. */
export { notifications } from './service.ts'
export { announce, dailyReport, welcomeMail } from './jobs.ts'
export { onFavorited, onPublished } from './subscriptions.ts'
export { newest } from './queries.ts'
