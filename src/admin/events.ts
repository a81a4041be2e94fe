/** Events: how far each consumer is, what it could not handle, and another delivery of that. */
import { fault } from '../base/errors.ts'
import type { Deployment } from '../boot/deployment.ts'
import type { Bus, Depth } from '../ports/bus.ts'
import type { Observers } from './observers.ts'
import { countOf } from './route.ts'
import type { AdminRoute } from './route.ts'

/** As many dead letters of one consumer are replayed by one request. */
const replayedMax = 1_000

export interface ConsumerState extends Depth { readonly name: string; readonly on: readonly string[] | null }

export async function consumersOf(bus: Bus, { consumers }: Deployment['plan']): Promise<ConsumerState[]> {
  const states: ConsumerState[] = []
  // One after another: nobody waits for it, and it takes one connection.
  for (const { name, on } of consumers) states.push({ name, on, ...await bus.depth(name) })
  return states
}

export function eventRoutes({ plan }: Deployment, observers: Observers): AdminRoute[] {
  const known = (name: string | undefined): string => {
    if (!plan.consumers.some(one => one.name === name)) throw fault('NOT_FOUND', `there is no consumer ${name}; there are ${plan.consumers.map(one => one.name).join(', ')}`)
    return name!
  }
  return [
    { method: 'GET', path: '/events', answer: async () => ({ consumers: await consumersOf(await observers.bus, plan) }) },
    {
      method: 'GET', path: '/dead-letters',
      async answer({ query }) {
        const bus = await observers.bus
        const limit = countOf(query, 'limit', 100, 1_000)
        const letters = await Promise.all(plan.consumers.map(one => bus.deadLetters(one.name, limit)))
        return { deadLetters: letters.flat().sort((a, b) => b.atMs - a.atMs).slice(0, limit) }
      },
    },
    {
      method: 'POST', path: '/dead-letters/:consumer/:id/replay',
      async answer({ path: { consumer, id } }) {
        if (!await (await observers.bus).replay(known(consumer), id!)) throw fault('NOT_FOUND', `${consumer} has no dead letter ${id}: it is delivered again already`)
        return { replayed: 1 }
      },
    },
    {
      method: 'POST', path: '/dead-letters/:consumer/replay',
      async answer({ path: { consumer } }) {
        const bus = await observers.bus
        let replayed = 0
        for (const { message } of await bus.deadLetters(known(consumer), replayedMax)) if (await bus.replay(consumer!, message.id)) replayed++
        return { replayed }
      },
    },
  ]
}
