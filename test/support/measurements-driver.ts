/** Postgres's measurements as the subject of their suite, behind a proxy that can stop to answer; `wrap` puts something, a fault for instance, around them. */
import net from 'node:net'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import type { Driver } from '../../src/conformance/check.ts'
import type { BacklogSubject } from '../../src/conformance/measurements.ts'
import { openPostgresBus } from '../../src/drivers/postgres/bus.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresMeasurements } from '../../src/drivers/postgres/measurements.ts'
import { openPostgresQueue } from '../../src/drivers/postgres/queue.ts'
import type { Measurements } from '../../src/ports/measurements.ts'
import { scratchPostgres } from './postgres.ts'

export interface Proxy {
  readonly url: string
  /** Neither takes nor passes on anything, but keeps every connection, until the returned function is called. */
  hang(): () => void
  /** Breaks every connection; new ones are passed on. */
  cut(): void
  connections(): number
  close(): void
}

export async function proxyTo(url: string): Promise<Proxy> {
  const target = new URL(url)
  const sockets = new Set<net.Socket>()
  let hangs = false
  const server = net.createServer(client => {
    const upstream = net.connect(Number(target.port), target.hostname)
    for (const [from, to] of [[client, upstream], [upstream, client]] as const) {
      sockets.add(from)
      from.on('data', data => to.write(data)).on('error', () => to.destroy()).on('close', () => { sockets.delete(from); to.destroy() })
      if (hangs) from.pause()
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const own = new URL(url)
  own.hostname = '127.0.0.1'
  own.port = String((server.address() as net.AddressInfo).port)
  return {
    url: own.href,
    hang() {
      hangs = true
      for (const socket of sockets) socket.pause()
      return () => { hangs = false; for (const socket of sockets) socket.resume() }
    },
    cut() { for (const socket of sockets) socket.destroy() },
    connections: () => sockets.size / 2,
    close() { server.close(); for (const socket of sockets) socket.destroy() },
  }
}

export function measurementsDriver(name = 'postgres', wrap = (measurements: Measurements): Measurements => measurements): Driver<BacklogSubject> {
  return {
    name, faults: ['hang', 'cut'],
    async open() {
      const closers = new Closers()
      const scratch = await scratchPostgres()
      closers.add(() => scratch.close())
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      await database.open()
      await database.migrate([{ service: 'shop', migrations: [], reference: [] }])
      closers.add(() => database.close())
      const proxy = await proxyTo(scratch.url)
      closers.add(() => proxy.close())
      const [bus, queue, measurements] = [openPostgresBus({ url: scratch.url, log: silentLogger }), openPostgresQueue({ url: scratch.url, log: silentLogger }), openPostgresMeasurements({ url: proxy.url })]
      for (const one of [bus, queue, measurements]) {
        await one.open()
        closers.add(() => one.close())
      }
      const own = `datname = current_database() AND application_name = 'tenfold measurements'`
      return {
        subject: {
          measurements: wrap(measurements), bus, queue,
          connections: async () => (await scratch.sql<{ count: number }>(`SELECT count(*)::int FROM pg_stat_activity WHERE ${own}`))[0]!.count,
          contend: async () => {
            const scope = { service: 'shop', bucket: null, deadlineMonotonicMs: Infinity }
            const [held, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
            const lock = (intent: string) => ({ text: `SELECT pg_advisory_xact_lock(1) /*intent='${intent}'*/`, values: [] })
            const holder = database.transaction(scope, async transaction => {
              await transaction.query(lock('shop.hold'))
              held.resolve()
              await released.promise
            })
            await held.promise
            // Held for too long it gives up, which is right.
            const waiter = database.transaction(scope, async transaction => { await transaction.query(lock('shop.wait')) }).catch(() => {})
            return async () => {
              released.resolve()
              await Promise.all([holder, waiter])
            }
          },
          hang: async () => { const resume = proxy.hang(); return async () => resume() },
          cut: async () => { await scratch.sql(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE ${own}`) },
        },
        close: () => closers.close(),
      }
    },
  }
}
