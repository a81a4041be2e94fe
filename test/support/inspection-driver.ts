/** Postgres's inspection as the subject of its suite; `wrap` puts something, a fault for instance, around it. */
import { silentLogger } from '../../src/base/log.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { inspectedRows } from '../../src/conformance/inspection.ts'
import type { InspectionSubject } from '../../src/conformance/inspection.ts'
import { openPostgresDatabase } from '../../src/drivers/postgres/database.ts'
import { openPostgresInspection } from '../../src/drivers/postgres/inspection.ts'
import type { Inspection } from '../../src/ports/inspection.ts'
import { scratchPostgres } from './postgres.ts'

const table = `CREATE TABLE item (bucket smallint NOT NULL, id int NOT NULL, colour text NOT NULL, price int NOT NULL, made_at timestamptz NOT NULL, PRIMARY KEY (bucket, id))`
const rows = `INSERT INTO shop.item SELECT n % 64, n, 'colour-' || (n - 1) / 200, n, now() - n * interval '1 s' FROM generate_series(1, ${inspectedRows}) n`

export function inspectionDriver(name = 'postgres', wrap = (inspection: Inspection): Inspection => inspection): Driver<InspectionSubject> {
  return {
    name,
    async open() {
      const scratch = await scratchPostgres()
      const database = openPostgresDatabase({ url: scratch.url, log: silentLogger })
      await database.open()
      await database.migrate([{ service: 'shop', migrations: [{ number: 1, name: '0001-item.sql', sql: table, checksum: 'a' }], reference: [] }])
      await scratch.sql(rows)
      await scratch.sql('VACUUM ANALYZE shop.item')
      const inspection = openPostgresInspection({ url: scratch.url, services: ['shop'] })
      await inspection.open()
      return {
        subject: {
          inspection: wrap(inspection),
          async run(text, values, times) { for (let time = 0; time < times; time++) await database.query('shop', { text, values }) },
          count: async () => (await scratch.sql<{ count: number }>('SELECT count(*)::int FROM shop.item'))[0]!.count,
        },
        async close() { await inspection.close(); await database.close(); await scratch.close() },
      }
    },
  }
}
