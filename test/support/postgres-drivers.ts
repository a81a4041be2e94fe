/** The Postgres drivers as subjects of their suites; `wrap` puts something, a fault for instance, around each. */
import { silentLogger } from '../../src/base/log.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { databaseSchemas } from '../../src/conformance/database.ts'
import type { DatabaseSubject } from '../../src/conformance/database.ts'
import type { LeaseSubject } from '../../src/conformance/lease.ts'
import type { RateSubject } from '../../src/conformance/rate.ts'
import type { SessionSubject } from '../../src/conformance/session.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresLeases } from '../../src/drivers/postgres/lease.ts'
import { openPostgresRates } from '../../src/drivers/postgres/rate.ts'
import { openPostgresSessions } from '../../src/drivers/postgres/session.ts'
import type { Database } from '../../src/ports/database.ts'
import type { Leases } from '../../src/ports/lease.ts'
import { scratchPostgres } from './postgres.ts'
import type { ScratchPostgres } from './postgres.ts'

const cut = async ({ sql }: ScratchPostgres): Promise<void> => {
  await sql(`SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

/** `spoil` is SQL that the owner runs after the migration: a protection switched off, for instance. */
export function databaseDriver(name = 'postgres', wrap = (database: Database): Database => database, spoil = ''): Driver<DatabaseSubject> {
  return {
    name, faults: ['restart', 'cut'],
    async open() {
      const scratch = await scratchPostgres()
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      await database.open()
      await database.migrate(databaseSchemas)
      await scratch.sql(spoil)
      return {
        subject: { database: wrap(database), restart: scratch.restart, cut: () => cut(scratch) },
        async close() { await database.close(); await scratch.close() },
      }
    },
  }
}

export function leaseDriver(name = 'postgres', wrap = (leases: Leases): Leases => leases): Driver<LeaseSubject> {
  return {
    name, faults: ['restart', 'cut'],
    async open() {
      const scratch = await scratchPostgres()
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      await database.migrate([])
      await database.close()
      const [first, second] = [openPostgresLeases({ url: scratch.url, log: silentLogger }), openPostgresLeases({ url: scratch.url, log: silentLogger })]
      await Promise.all([first.open(), second.open()])
      return {
        subject: { first: wrap(first), second: wrap(second), restart: scratch.restart, cut: () => cut(scratch) },
        async close() { await Promise.all([first.close(), second.close()]); await scratch.close() },
      }
    },
  }
}

export const rateDriver: Driver<RateSubject> = {
  name: 'postgres',
  async open() {
    const scratch = await scratchPostgres()
    const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
    await database.migrate([])
    await database.close()
    const [one, other] = [openPostgresRates({ url: scratch.url, log: silentLogger }), openPostgresRates({ url: scratch.url, log: silentLogger })]
    await Promise.all([one.open(), other.open()])
    return {
      subject: { one, other },
      async close() { await Promise.all([one.close(), other.close()]); await scratch.close() },
    }
  },
}

export const sessionDriver: Driver<SessionSubject> = {
  name: 'postgres', faults: ['restart'],
  async open() {
    const scratch = await scratchPostgres()
    const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
    await database.migrate([])
    await database.close()
    const [one, other] = [openPostgresSessions({ url: scratch.url, log: silentLogger }), openPostgresSessions({ url: scratch.url, log: silentLogger })]
    await Promise.all([one.open(), other.open()])
    return {
      subject: { one, other, restart: scratch.restart },
      async close() { await Promise.all([one.close(), other.close()]); await scratch.close() },
    }
  },
}
