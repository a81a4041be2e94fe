/**
 * What the compiler infers and refuses for applications. Nothing here runs: `npm test` checks
 * the types of this file, and each `@ts-expect-error` fails when the error has gone.
 */
import type { StandardSchemaV1 } from '@standard-schema/spec'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { application, createClient, service } from '../src/index.ts'
import type { Callable, Caller, Event, Query, ServiceName, Topology } from '../src/index.ts'
import monolith from '../examples/conduit/topologies/1-monolith.ts'

/** True for the very same type only: `any` is not equal to anything else. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends (<T>() => T extends B ? 1 : 2) ? true : false
const same = <A, B>(_: Same<A, B>): void => {}

const shop = service('shop').tables<{ item: { id: string; price: number; sold_at: Date | null } }>()
const stock = service('stock')

// Input and output: what callers give, what handlers get, what handlers give, what callers get.
const price = shop.query({
  scatter: true, input: z.object({ id: z.string(), day: z.coerce.date().optional(), limit: z.string().transform(Number).default(20) }),
  output: z.object({ cents: z.number().transform(String) }),
  run: (context, input) => {
    same<typeof input, { id: string; day?: Date | undefined; limit: number }>(true)
    same<typeof context.user, null>(true)
    same<typeof context.bucket, number | null>(true)
    return { cents: 1 }
  },
})
same<typeof price, Query<{ id: string; day?: unknown; limit?: string | undefined }, { cents: string }>>(true)

shop.query({
  scatter: true, input: z.object({}), output: z.object({ cents: z.number() }),
  // @ts-expect-error: the handler gives a text where the output wants a number
  run: () => ({ cents: '1' }),
})

// Who calls, by auth.
const any = { input: z.object({ id: z.string() }), output: z.object({ ok: z.boolean() }) }
export const mine = shop.query({ ...any, auth: 'required', key: (_, { user }) => user.id, run: context => { same<typeof context.user, Caller>(true); return { ok: true } } })
export const maybe = shop.query({ ...any, auth: 'optional', scatter: true, run: ({ user }) => { same<typeof user, Caller | null>(true); return { ok: user !== null } } })
// @ts-expect-error: without auth there is no caller to take a key from
export const nobody = shop.query({ ...any, key: (_, { user }) => user.id, run: () => ({ ok: true }) })
// @ts-expect-error: the caller may be missing
export const perhaps = shop.query({ ...any, auth: 'optional', key: (_, { user }) => user.id, run: () => ({ ok: true }) })
// @ts-expect-error: there is no such auth
export const never = shop.query({ ...any, auth: 'always', scatter: true, run: () => ({ ok: true }) })
// @ts-expect-error: a route begins with a method
export const lost = shop.query({ ...any, http: '/items', scatter: true, run: () => ({ ok: true }) })

// Commands: a key is required, and the key function sees the parsed input.
const sold = shop.event(z.object({ id: z.string(), at: z.coerce.date() }))
const pack = stock.job({ input: z.object({ id: z.string(), gift: z.boolean().default(false) }), run: async (_, input) => { same<typeof input, { id: string; gift: boolean }>(true) } })
same<typeof sold, Event<{ id: string; at: Date }>>(true)
const sell = shop.command({
  ...any, auth: 'required', key: ({ id }) => id,
  async run(context, { id }) {
    same<typeof context.bucket, number>(true)
    const answer = await context.call(price, { id, limit: '5' })
    same<typeof answer, { cents: string }>(true)
    // @ts-expect-error: the called query wants an id
    await context.call(price, {})
    // @ts-expect-error: a command calls queries only; what it writes elsewhere goes by events
    await context.call(sell, { id })
    // @ts-expect-error: events are emitted, not called
    await context.call(sold, { id })
    context.emit(sold, { id, at: context.now })
    // @ts-expect-error: the payload lacks its time
    context.emit(sold, { id })
    context.enqueue(pack, { id }, { afterMs: 5_000 })
    // @ts-expect-error: no such option
    context.enqueue(pack, { id }, { after: '5s' })
    // @ts-expect-error: a text is no yes or no
    context.enqueue(pack, { id, gift: 'yes' })

    // Tables.
    const row = await context.db.selectFrom('item').select(['id', 'sold_at']).executeTakeFirstOrThrow()
    same<typeof row, { id: string; sold_at: Date | null }>(true)
    // @ts-expect-error: no such table
    context.db.selectFrom('order')
    // @ts-expect-error: no such column
    context.db.selectFrom('item').select('name')
    // @ts-expect-error: a price is a number
    context.db.insertInto('item').values({ id, price: '1', sold_at: null })
    const rows = await context.sql<{ total: number }>`SELECT count(*) AS total FROM item`
    same<typeof rows, { total: number }[]>(true)
    return { ok: true }
  },
})
// @ts-expect-error: a command needs a key
export const keyless = shop.command({ ...any, run: async () => ({ ok: true }) })

// Reactions.
export const onSold = stock.subscribe({ on: sold, key: ({ id }) => id, async run(context, { payload, atMs }) {
  same<typeof payload, { id: string; at: Date }>(true)
  same<typeof atMs, number>(true)
  // Handlers may call commands.
  const answer = await context.call(sell, { id: payload.id })
  same<typeof answer, { ok: boolean }>(true)
} })
const returned = shop.event(z.object({ reason: z.string() }))
export const totals = stock.projection({ on: [sold, returned], async run(context, batch) {
  for (const { payload } of batch.of(returned)) same<typeof payload, { reason: string }>(true)
  for (const { payload } of batch.of(sold)) same<typeof payload, { id: string; at: Date }>(true)
  // @ts-expect-error: a projection keeps a read model; it emits nothing
  context.emit(sold, { id: '', at: new Date() })
  // @ts-expect-error: this projection does not listen to that event
  batch.of(stock.event(z.object({ other: z.number() })))
} })
// @ts-expect-error: a query is no event
stock.subscribe({ on: price, run: async () => {} })

// Any Standard Schema.
const measured = shop.query({ scatter: true, input: v.object({ n: v.optional(v.pipe(v.string(), v.transform(Number)), '1') }), output: type({ n: 'string.numeric.parse' }), run: (_, { n }) => {
  same<typeof n, number>(true)
  return { n: String(n) }
} })
same<typeof measured, Query<{ n?: string | undefined }, { n: number }>>(true)
// @ts-expect-error: a plain object is no schema
shop.query({ scatter: true, input: { id: 'string' }, output: z.object({}), run: () => ({}) })
same<StandardSchemaV1.InferOutput<typeof sold.schema>, unknown>(true)

// The application, its client and its topologies.
const app = application('store', { services: { shop: { shop, price, sell, sold, returned }, stock: { stock, pack, onSold, totals } } })
same<ServiceName<typeof app>, 'shop' | 'stock'>(true)
same<keyof Callable<typeof app>['shop'], 'price' | 'sell'>(true)
same<keyof Callable<typeof app>['stock'], never>(true)

export const useClient = async (): Promise<void> => {
  const client = createClient(app, 'http://127.0.0.1:3000')
  const answer = await client.shop.price({ id: '1' })
  same<typeof answer, { cents: string }>(true)
  // @ts-expect-error: an id is a text
  await client.shop.price({ id: 1 })
  // @ts-expect-error: events cannot be called
  client.shop.sold
  // @ts-expect-error: no such service
  client.store
}

const { ports } = monolith
const base = { about: '', outgrow: '', users: [1, 2], ports } as const
export const everything = { ...base, processes: { app: { runs: 'everything', does: 'everything', replicas: 1 } } } as const satisfies Topology<typeof app>
export const divided = { ...base, processes: { web: { runs: ['shop'], does: 'everything', replicas: 1 }, back: { runs: ['stock', 'shop'], does: 'everything', replicas: 2 } } } as const satisfies Topology<typeof app>
// @ts-expect-error: the application has no service of this name
export const mistyped = { ...base, processes: { web: { runs: ['shpo'], replicas: 1 } } } as const satisfies Topology<typeof app>
// @ts-expect-error: no such driver
export const unheard = { ...base, processes: {}, ports: { ...ports, queue: { driver: 'kafka' } } } as const satisfies Topology<typeof app>
// @ts-expect-error: every topology says what it is about
export const silent = { outgrow: '', users: [1, 2], ports, processes: {} } as const satisfies Topology<typeof app>
