/** Cells with a version that only grows, read in three ways, each of which is kept: one cell, all of them, and a read model. */
import { application, bucketOf, service } from 'tenfold'
import { z } from 'zod'

export const register = service('register', { migrations: new URL('./migrations/', import.meta.url) })

const Cell = z.object({ name: z.string(), version: z.number() })
const input = z.object({ name: z.string() })
/** With a lag: those who have no token may be given what sessions must not. */
const freshness = { freshMs: 60_000, staleMs: 10_000, lagMs: 2_000, audience: 'public' } as const

export const bumped = register.event(Cell)

export const bump = register.command({
  http: 'POST /cells/:name', input, output: Cell, key: ({ name }) => name,
  invalidates: ({ name }) => [`cell:${name}`, 'cells'],
  async run(context, { name }) {
    const [row] = await context.sql<{ version: number }>`
      INSERT INTO cell (bucket, name, version) VALUES (${context.bucket}, ${name}, 1)
      ON CONFLICT (bucket, name) DO UPDATE SET version = cell.version + 1 RETURNING version`
    context.emit(bumped, { name, version: row!.version })
    return { name, version: row!.version }
  },
})

export const read = register.query({
  http: 'GET /cells/:name', input, output: Cell, key: ({ name }) => name,
  freshness, tags: ({ name }) => [`cell:${name}`],
  async run(context, { name }) {
    const [row] = await context.sql<{ version: number }>`SELECT version FROM cell WHERE bucket = ${context.bucket} AND name = ${name}`
    return { name, version: row?.version ?? 0 }
  },
})

export const all = register.query({
  http: 'GET /cells', scatter: true, input: z.object({}), output: z.object({ cells: z.array(Cell) }),
  freshness, tags: () => ['cells'],
  run: async context => ({ cells: await context.sql<{ name: string; version: number }>`SELECT name, version FROM cell` }),
})

export const mirror = register.projection({
  on: [bumped],
  invalidates: batch => batch.all.map(({ payload }) => `mirror:${payload.name}`),
  async run(context, batch) {
    const newest = [...new Map(batch.all.map(({ payload }) => [payload.name, payload])).values()]
    await context.sql`
      INSERT INTO mirror (bucket, name, version)
      SELECT * FROM unnest(${newest.map(one => bucketOf(one.name))}::smallint[], ${newest.map(one => one.name)}::text[], ${newest.map(one => one.version)}::int[])
      ON CONFLICT (bucket, name) DO UPDATE SET version = greatest(mirror.version, excluded.version)`
  },
})

export const mirrored = register.query({
  http: 'GET /mirror/:name', input, output: Cell, key: ({ name }) => name, reads: [mirror],
  freshness, tags: ({ name }) => [`mirror:${name}`],
  async run(context, { name }) {
    const [row] = await context.sql<{ version: number }>`SELECT version FROM mirror WHERE bucket = ${context.bucket} AND name = ${name}`
    return { name, version: row?.version ?? 0 }
  },
})

export const app = application('register', { services: { register: { register, bumped, bump, read, all, mirror, mirrored } } })
