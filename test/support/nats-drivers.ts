/** Bus and queue on NATS as subjects of their suites; `wrap` puts something, a fault for instance, around each. */
import pg from 'pg'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import type { BusSubject } from '../../src/conformance/bus.ts'
import type { Driver } from '../../src/conformance/check.ts'
import type { QueueSubject } from '../../src/conformance/queue.ts'
import { openNatsBus } from '../../src/drivers/nats/bus.ts'
import type { NatsBusOptions } from '../../src/drivers/nats/bus.ts'
import { openNatsQueue } from '../../src/drivers/nats/queue.ts'
import type { NatsQueueOptions } from '../../src/drivers/nats/queue.ts'
import { openPostgresBus } from '../../src/drivers/postgres/bus.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresOutbox } from '../../src/drivers/postgres/outbox.ts'
import type { Bus } from '../../src/ports/bus.ts'
import type { Queue } from '../../src/ports/queue.ts'
import { appendSlowly, cut, die, scratchRuntime } from './bus-queue-drivers.ts'
import { scratchNats } from './nats.ts'

const log = process.env.TEST_LOG ? (await import('../../src/base/log.ts')).createLogger({ name: 'test', process: 'test' }) : silentLogger

export type BrokerPlace = Pick<NatsBusOptions, 'url' | 'prefix'> & Partial<Pick<NatsBusOptions, 'partitions' | 'bytesMax'>> & { readonly replicas?: number } & { readonly databaseUrl: string }

export const natsBus = ({ databaseUrl, ...options }: BrokerPlace): Bus => openNatsBus({
  replicas: 1, partitions: 1, bytesMax: 64 * 1_048_576, logger: log,
  outbox: openPostgresOutbox({ url: databaseUrl, log }), log: openPostgresBus({ url: databaseUrl, log }), ...options,
})

export function natsBusDriver(name = 'nats', more: Partial<NatsBusOptions> = {}, wrap = (bus: Bus): Bus => bus): Driver<BusSubject> {
  return {
    name, faults: ['restart', 'cut', 'position'],
    async open() {
      const closers = new Closers()
      const scratch = await scratchRuntime(closers)
      const nats = await scratchNats()
      const database = openPostgresDatabase({ url: scratch.url, log })
      closers.add(() => database.close())
      const pool = new pg.Pool({ connectionString: scratch.url, max: 10 })
      pool.on('error', () => {})
      closers.add(() => pool.end())
      const reopen = async () => {
        const bus = wrap(natsBus({ ...nats, databaseUrl: scratch.url, ...more }))
        closers.add(() => bus.close())
        await bus.open()
        return bus
      }
      const bus = await reopen()
      return {
        subject: {
          bus, reopen, appendSlowly: (messages, delayMs) => appendSlowly(pool, messages, delayMs), position: () => database.position(),
          restart: nats.restart, cut: async () => { nats.cut(); await cut(scratch) },
        },
        close: () => closers.close(),
      }
    },
  }
}

export function natsQueueDriver(name = 'nats', wrap = (queue: Queue): Queue => queue, more: Partial<NatsQueueOptions> = {}): Driver<QueueSubject> {
  return {
    name, faults: ['restart', 'cut', 'die'],
    async open() {
      const closers = new Closers()
      const nats = await scratchNats()
      const reopen = async () => {
        const queue = wrap(openNatsQueue({ ...nats, replicas: 1, log, ...more }))
        closers.add(() => queue.close())
        await queue.open()
        return queue
      }
      const queue = await reopen()
      return {
        subject: { queue, reopen, restart: nats.restart, cut: async () => nats.cut(), die: job => die(nats.url, job, nats.prefix) },
        close: () => closers.close(),
      }
    },
  }
}
