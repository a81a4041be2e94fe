/**
 * Puts up both sides over one Postgres: Conduit with its seed, and the reference with a copy
 * of it in a database of its own.
 *
 * The self-test has no Conduit: two references over made-up data, to see the bench's own noise.
 */
import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import pg from 'pg'
import { registerPeople, sampleArticles, tokenOf } from './client.ts'
import type { Person } from './client.ts'
import { postgresOf, startConduit } from './conduit.ts'
import type { Side } from './equality.ts'
import { startServer } from './process.ts'
import type { Server } from './process.ts'
import { extract } from './reference/extract.ts'
import { load } from './reference/load.ts'
import type { Dataset } from './reference/load.ts'
import { synthesise } from './reference/synthetic.ts'

export interface Arena {
  readonly conduit: Side & { readonly pid: number }
  readonly reference: Side & { readonly pid: number }
  readonly bare: Server
  readonly postgresPid: number
  close(): Promise<void>
}

const peopleCount = 8
const slugPages = 10

export async function openArena(selfTest: boolean): Promise<Arena> {
  const folder = await mkdtemp(path.join(tmpdir(), 'tenfold-bench-'))
  // Postgres runs as nobody when root starts it, and must be able to walk here.
  await chmod(folder, 0o755)
  const closers: (() => Promise<unknown>)[] = [() => rm(folder, { recursive: true, force: true })]
  const close = async () => { for (const closer of closers.toReversed()) await closer().catch((error: unknown) => { process.stderr.write(`${String(error)}\n`) }) }
  const keep = <Some extends Server>(server: Some): Some => { closers.push(() => server.stop()); return server }
  try {
    const secret = randomBytes(32).toString('hex')
    const { data, people, postgres, first } = selfTest ? await synthetic(folder, closers) : await seeded(folder, secret, closers, keep)
    const url = await createDatabase(postgres.url, 'reference')
    await load(url, data)
    const reference = keep(await startReference(url, secret))
    const conduit = first ?? keep(await startReference(await copyFor(postgres.url, data), secret))
    const bare = keep(await startServer(['bench/reference/bare.ts'], { PORT: '0' }))
    const { slugs } = await sampleArticles(reference.url, slugPages)
    const side = async (name: string, server: Server) => {
      const tokens: string[] = []
      for (const person of people) tokens.push(await tokenOf(server.url, person))
      return { name, url: server.url, pid: server.pid, subject: { tokens, slugs, people } }
    }
    return { conduit: await side('conduit', conduit), reference: await side('reference', reference), bare, postgresPid: postgres.pid, close }
  } catch (error) {
    await close()
    throw error
  }
}

interface Ground {
  readonly data: Dataset
  readonly people: readonly Person[]
  readonly postgres: { readonly url: string; readonly pid: number }
  readonly first: Server | null
}

async function seeded(folder: string, secret: string, closers: (() => Promise<unknown>)[], keep: (server: Server) => Server): Promise<Ground> {
  const conduit = await startConduit(folder, secret)
  keep(conduit)
  const people = await registerPeople(conduit.url, peopleCount)
  // Followers and counts may be projected a moment later.
  await new Promise(resolve => setTimeout(resolve, 1_000))
  const data = await extract(conduit.databaseUrl)
  // As the copy is once it is loaded: a minute later the server would do it on its own.
  await run(conduit.databaseUrl, 'vacuum analyze')
  return { data, people, postgres: { url: conduit.databaseUrl, pid: conduit.postgresPid }, first: conduit }
}

async function synthetic(folder: string, closers: (() => Promise<unknown>)[]): Promise<Ground> {
  const { startPostgresServer } = await import('../src/drivers/postgres/server.ts')
  const { silentLogger } = await import('../src/base/log.ts')
  const server = await startPostgresServer({ dataFolder: folder, log: silentLogger })
  closers.push(() => server.stop())
  const password = 'synthetic-password'
  const people = Array.from({ length: peopleCount }, (_, i) => ({ email: `user${i}@example.com`, password }))
  return { data: synthesise(password), people, postgres: await postgresOf(folder), first: null }
}

const startReference = (url: string, secret: string) => startServer(['bench/reference/server.ts'], { REFERENCE_DATABASE_URL: url, JWT_SECRET: secret, PORT: '0', NODE_ENV: 'production' })

async function copyFor(serverUrl: string, data: Dataset): Promise<string> {
  const url = await createDatabase(serverUrl, 'reference_twin')
  await load(url, data)
  return url
}

async function createDatabase(serverUrl: string, name: string): Promise<string> {
  await run(serverUrl, `create database ${name}`)
  return Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href
}

async function run(url: string, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(text)
  await client.end()
}
