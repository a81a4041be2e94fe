/** The service `feed`: what it exports here is what it is. */
export { feed } from './service.ts'
export { entries, following } from './projections.ts'
export { mine } from './queries.ts'
