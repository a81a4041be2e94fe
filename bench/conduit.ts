/** Starts and seeds the Conduit application through its command line, and finds its Postgres. */
import { execFile } from 'node:child_process'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { mkdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { registerPeople } from './client.ts'
import { runScript, startServer } from './process.ts'
import type { Environment, Server } from './process.ts'

export interface Conduit extends Server {
  readonly databaseUrl: string
  readonly postgresPid: number
}

const appFile = 'examples/conduit/app.ts'

export const environmentOf = async (dataFolder: string, secret: string): Promise<Environment> => ({
  PORT: String(await freePort()), ADMIN_PORT: String(await freePort()), TENFOLD_DATA: dataFolder, JWT_SECRET: secret, LOG_LEVEL: 'warn',
})

/** On data that is there, unseeded. */
export async function startOn(dataFolder: string, secret: string, topology: string, env?: Environment): Promise<Server> {
  return startServer(['src/cli/main.ts', 'start', '--app', appFile, '--topology', topology], env ?? await environmentOf(dataFolder, secret))
}

export async function startConduit(dataFolder: string, secret: string): Promise<Conduit> {
  const env = await environmentOf(dataFolder, secret)
  const server = await startServer(['src/cli/main.ts', 'start', '--app', appFile], env)
  try {
    await runScript(['src/cli/main.ts', 'seed', '--app', appFile], env)
    const { url: databaseUrl, pid: postgresPid } = await postgresOf(dataFolder)
    return { ...server, databaseUrl, postgresPid }
  } catch (error) {
    await server.stop()
    throw error
  }
}

/** The embedded Postgres of a data folder, from the files its server writes. */
export async function postgresOf(dataFolder: string): Promise<{ readonly url: string; readonly pid: number }> {
  const folder = path.join(dataFolder, 'postgres')
  const password = (await readFile(path.join(folder, 'postgres.password'), 'utf8')).trim()
  const [pid, , , port] = (await readFile(path.join(folder, 'cluster', 'postmaster.pid'), 'utf8')).split('\n')
  return { url: `postgres://postgres:${password}@127.0.0.1:${Number(port)}/postgres`, pid: Number(pid) }
}

export const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const probe = createServer().once('error', reject)
  probe.listen(0, '127.0.0.1', () => {
    const { port } = probe.address() as AddressInfo
    probe.close(() => { resolve(port) })
  })
})

/** The sample data and some people more, in folders that differ in nothing: for sides that are compared. */
export async function seedAlike([folder, ...copies]: readonly [string, ...string[]], secret: string, peopleCount: number) {
  await mkdir(folder, { mode: 0o755 })
  const conduit = await startConduit(folder, secret)
  const people = await registerPeople(conduit.url, peopleCount)
  await conduit.stop()
  for (const copy of copies) {
    // The cluster belongs to another user when root runs this, so owners go along; each takes a port of its own.
    await promisify(execFile)('cp', ['-a', folder, copy])
    await rm(path.join(copy, 'postgres/postgres.port'), { force: true })
  }
  return people
}
