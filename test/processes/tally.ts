/** An application whose effects can be counted: a schedule, jobs, a unique value, an event and its projection. */
import { application, service } from 'tenfold'
import { z } from 'zod'

interface Tables {
  tick: { id: string }
  entry: { id: string; name: string }
  effect: { id: string; name: string }
  reader: { id: string; name: string }
}

export const version = 'version 1'

export const tally = service('tally', { migrations: new URL('./migrations/', import.meta.url) }).tables<Tables>()

export const everySecond = tally.job({
  cron: '* * * * * *', input: z.object({}), key: () => 'ticks',
  run: async context => { await context.db.insertInto('tick').values({ id: context.newId() }).execute() },
})

export const work = tally.job({
  input: z.object({ name: z.string() }), key: ({ name }) => name,
  run: async (context, { name }) => { await context.db.insertInto('effect').values({ id: context.newId(), name }).execute() },
})

export const entered = tally.event(z.object({ name: z.string() }))

export const seen = tally.subscribe({
  on: entered,
  run: async (context, { payload }) => { await context.db.insertInto('reader').values({ id: context.newId(), name: payload.name }).execute() },
})

export const enter = tally.command({
  http: 'POST /entries', status: 201, input: z.object({ name: z.string(), unique: z.string().optional() }), output: z.object({ id: z.string() }), key: ({ name }) => name,
  run: async (context, { name, unique }) => {
    const id = context.newId()
    if (unique) await context.claim('unique', unique, id)
    await context.db.insertInto('entry').values({ id, name }).execute()
    context.emit(entered, { name })
    context.enqueue(work, { name })
    return { id }
  },
})

export const which = tally.query({ http: 'GET /version', input: z.object({}), output: z.object({ version: z.string() }), scatter: true, run: async () => ({ version }) })

export const rated = tally.query({
  http: 'GET /rated', rate: { limit: 10, windowMs: 3_600_000, per: 'address' },
  input: z.object({}), output: z.object({ version: z.string() }), scatter: true, run: async () => ({ version }),
})

export const app = application('tally', { services: { tally: { tally, everySecond, work, entered, seen, enter, which, rated } } })
