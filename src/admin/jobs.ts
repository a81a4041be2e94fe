/** Jobs: how many wait and run, which are dead, and another try for those. */
import { fault } from '../base/errors.ts'
import type { Observers } from './observers.ts'
import { countOf } from './route.ts'
import type { AdminRoute } from './route.ts'

export function jobRoutes(observers: Observers): AdminRoute[] {
  return [
    {
      method: 'GET', path: '/jobs',
      async answer({ query }) {
        const queue = await observers.queue
        const [depth, dead] = await Promise.all([queue.depth(), queue.dead(countOf(query, 'limit', 100, 1_000))])
        return { depth, dead }
      },
    },
    {
      method: 'POST', path: '/jobs/:id/retry',
      async answer({ path }) {
        if (!await (await observers.queue).retry(path.id!)) throw fault('NOT_FOUND', `there is no dead job ${path.id}: it runs again already, or is done`)
        return { retried: 1 }
      },
    },
  ]
}
