/** Postgres's bus and queue as subjects of their suites; `wrap` puts something, a fault for instance, around each. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import { sleep } from '../../src/base/time.ts'
import type { BusSubject } from '../../src/conformance/bus.ts'
import type { Driver } from '../../src/conformance/check.ts'
import type { OutboxSubject } from '../../src/conformance/outbox.ts'
import type { QueueSubject } from '../../src/conformance/queue.ts'
import { openPostgresBus } from '../../src/drivers/postgres/bus.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresOutbox } from '../../src/drivers/postgres/outbox.ts'
import { openPostgresQueue } from '../../src/drivers/postgres/queue.ts'
import type { Bus } from '../../src/ports/bus.ts'
import type { Message } from '../../src/ports/database.ts'
import type { Outbox } from '../../src/ports/outbox.ts'
import type { Queue } from '../../src/ports/queue.ts'
import { scratchPostgres } from './postgres.ts'
import type { ScratchPostgres } from './postgres.ts'

const runtimeFolder = path.resolve(import.meta.dirname, '../../src/drivers/postgres/sql')
const runtimeTables = globSync('*.sql', { cwd: runtimeFolder }).sort().map(file => readFileSync(path.join(runtimeFolder, file), 'utf8')).join('\n')
const dyingWorker = new URL('../fixtures/dying-worker.ts', import.meta.url)

export type OpenBus = (url: string) => Bus
export type OpenQueue = (url: string) => Queue

export async function scratchRuntime(closers: Closers): Promise<ScratchPostgres> {
  const scratch = await scratchPostgres()
  closers.add(() => scratch.close())
  await scratch.sql('CREATE SCHEMA tenfold')
  await scratch.sql(runtimeTables)
  return scratch
}

export const cut = async ({ sql }: ScratchPostgres): Promise<void> => {
  await sql('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()')
}

export async function appendSlowly(pool: pg.Pool, messages: readonly Message[], delayMs: number): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    for (const one of messages) {
      await client.query(`INSERT INTO tenfold.outbox (bucket, id, kind, name, key, payload, at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
        [one.bucket, one.id, one.kind, one.name, one.key, JSON.stringify(one.payload), new Date(one.atMs)])
    }
    if (delayMs > 0) await sleep(delayMs)
    await client.query(`SELECT pg_notify('tenfold_outbox', '')`)
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

export function busDriver(name = 'postgres', openBus: OpenBus = url => openPostgresBus({ url, log: silentLogger })): Driver<BusSubject> {
  return {
    name, faults: ['restart', 'cut', 'position'],
    async open() {
      const closers = new Closers()
      const scratch = await scratchRuntime(closers)
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      closers.add(() => database.close())
      const pool = new pg.Pool({ connectionString: scratch.url, max: 10 })
      pool.on('error', () => {})
      closers.add(() => pool.end())
      const reopen = async () => {
        const bus = openBus(scratch.url)
        closers.add(() => bus.close())
        await bus.open()
        return bus
      }
      const bus = await reopen()
      return {
        subject: { bus, reopen, appendSlowly: (messages, delayMs) => appendSlowly(pool, messages, delayMs), position: () => database.position(), restart: scratch.restart, cut: () => cut(scratch) },
        close: () => closers.close(),
      }
    },
  }
}

export function outboxDriver(name = 'postgres', wrap = (outbox: Outbox): Outbox => outbox): Driver<OutboxSubject> {
  return {
    name, faults: ['restart', 'cut'],
    async open() {
      const closers = new Closers()
      const scratch = await scratchRuntime(closers)
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      closers.add(() => database.close())
      const pool = new pg.Pool({ connectionString: scratch.url, max: 10 })
      pool.on('error', () => {})
      closers.add(() => pool.end())
      const reopen = async () => {
        const outbox = wrap(openPostgresOutbox({ url: scratch.url, log: silentLogger }))
        closers.add(() => outbox.close())
        await outbox.open()
        return outbox
      }
      const outbox = await reopen()
      const prune = async () => {
        await scratch.sql(`UPDATE tenfold.outbox SET at = now() - interval '2 days'`)
        await database.prune([])
        return (await scratch.sql<{ id: string }>('SELECT id FROM tenfold.outbox ORDER BY outbox.tx, outbox.seq')).map(one => one.id)
      }
      return {
        subject: { outbox, reopen, prune, appendSlowly: (messages, delayMs) => appendSlowly(pool, messages, delayMs), position: () => database.position(), restart: scratch.restart, cut: () => cut(scratch) },
        close: () => closers.close(),
      }
    },
  }
}

/** Starts a process that claims one job and never finishes it, and kills it then. */
export async function die(...names: readonly string[]): Promise<void> {
  const child = fork(dyingWorker, names, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  await Promise.race([once(child, 'message'), exited.then(() => { throw new Error('the worker ended before it claimed a job') })])
  child.kill('SIGKILL')
  await exited
}

export function queueDriver(name = 'postgres', wrap = (queue: Queue): Queue => queue): Driver<QueueSubject> {
  return {
    name, faults: ['restart', 'cut', 'die'],
    async open() {
      const closers = new Closers()
      const scratch = await scratchRuntime(closers)
      const reopen = async () => {
        const queue = wrap(openPostgresQueue({ url: scratch.url, log: silentLogger }))
        closers.add(() => queue.close())
        await queue.open()
        return queue
      }
      const queue = await reopen()
      return {
        subject: { queue, reopen, restart: scratch.restart, cut: () => cut(scratch), die: job => die(scratch.url, job) },
        close: () => closers.close(),
      }
    },
  }
}
