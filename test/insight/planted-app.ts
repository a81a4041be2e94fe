/** Conduit in another folder, with queries and commands planted in it that are slow in ways of their own. */
import { appendFile, cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { conduitFile } from '../support/deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')

const planted = `
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { articles } from './service.ts'

const number = z.coerce.number()
const done = z.object({ found: z.number() })

/** Waits for something that Tenfold does not see, as for another company's server. */
export const outside = articles.query({
  http: 'GET /planted/outside/:ms', scatter: true, input: z.object({ ms: number }), output: done,
  run: async (context, { ms }) => { await sleep(ms); return { found: 0 } },
})
/** A statement that computes, whatever the indexes, and a wait outside. */
export const slow = articles.query({
  http: 'GET /planted/slow/:rows/:n', scatter: true, input: z.object({ rows: number, n: number }), output: done,
  async run(context, { rows }) {
    await sleep(8)
    const [{ count }] = await context.sql<{ count: number }>\`SELECT count(*)::int AS count FROM generate_series(1, \${rows}::int) n WHERE md5(n::text) LIKE '00%'\`
    return { found: count }
  },
})
/** The same, and its answers may be kept; questions differ by n only. */
export const costly = articles.query({
  http: 'GET /planted/costly/:n', scatter: true, input: z.object({ n: number }), output: done, freshness: { freshMs: 30_000 },
  async run(context, { n }) {
    const [{ count }] = await context.sql<{ count: number }>\`SELECT count(*)::int AS count FROM generate_series(1, 15000) i WHERE md5((i + \${n}::int)::text) LIKE '00%'\`
    return { found: count }
  },
})
export const lovers = articles.query({
  http: 'GET /planted/lovers/:user', scatter: true, input: z.object({ user: z.string() }), output: done,
  async run(context, { user }) {
    await sleep(4)
    const [{ count }] = await context.sql<{ count: number }>\`SELECT count(*)::int AS count FROM favorite WHERE user_id = \${user}\`
    return { found: count }
  },
})
/** A handler that computes, and a statement that only takes time. */
export const burn = articles.query({
  http: 'GET /planted/burn/:ms/:n', scatter: true, input: z.object({ ms: number, n: number }), output: done,
  async run(context, { ms }) {
    await context.sql\`SELECT pg_sleep(0.004)\`
    // So much work, and not so much time: on a machine that is shared the two differ.
    let found = 0
    for (let round = 0; round < ms * 400_000; round++) found = Math.imul(found ^ round, 0x01000193) >>> 1
    return { found }
  },
})
/** Statements that only take time. */
export const pause = articles.query({
  http: 'GET /planted/pause/:ms', scatter: true, input: z.object({ ms: number }), output: done,
  async run(context, { ms }) { await context.sql\`SELECT pg_sleep(\${ms / 1_000})\`; return { found: 0 } },
})
const counting = { http: 'POST /planted/count/:key/:ms', input: z.object({ key: z.string(), ms: number }), output: done } as const
/** Counts in the row of a key, and keeps its transaction open for something that is no statement. */
export const hold = articles.command({
  ...counting, http: 'POST /planted/hold/:key/:ms', key: ({ key }) => key,
  async run(context, { ms }) {
    await context.sql\`INSERT INTO shelf (bucket, articles) VALUES (\${context.bucket}, 0) ON CONFLICT (bucket) DO UPDATE SET articles = shelf.articles\`
    await sleep(ms)
    return { found: 0 }
  },
})
/** Counts in the row of a key, and has a statement to run before it commits. */
export const count = articles.command({
  ...counting, key: ({ key }) => key,
  async run(context, { ms }) {
    await context.sql\`INSERT INTO shelf (bucket, articles) VALUES (\${context.bucket}, 0) ON CONFLICT (bucket) DO UPDATE SET articles = shelf.articles\`
    if (ms > 0) await context.sql\`SELECT pg_sleep(\${ms / 1_000})\`
    return { found: 0 }
  },
})
`

export interface PlantedApp {
  readonly appFile: string
  /** Adds a topology that is another one with changes to its text. */
  topology(name: string, from: string, changes: readonly (readonly [string, string])[]): Promise<void>
  remove(): Promise<void>
}

export async function plantedApp(): Promise<PlantedApp> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-planted-'))
  const copy = path.join(folder, 'conduit')
  await cp(path.dirname(conduitFile), copy, { recursive: true, filter: file => path.basename(file) !== 'node_modules' })
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  await writeFile(path.join(copy, 'services/articles/planted.ts'), planted)
  await appendFile(path.join(copy, 'services/articles/index.ts'), `export { outside, slow, costly, lovers, burn, pause, hold, count } from './planted.ts'\n`)
  return {
    appFile: path.join(copy, 'app.ts'),
    async topology(name, from, changes) {
      let text = await readFile(path.join(copy, 'topologies', `${from}.ts`), 'utf8')
      for (const [before, after] of changes) {
        if (!text.includes(before)) throw new Error(`${from} has no ${before}`)
        text = text.replace(before, after)
      }
      await writeFile(path.join(copy, 'topologies', `${name}.ts`), text)
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
