/** Checks of the database port: a reader shows what a session has written and seen, wherever it reads. */
import assert from 'node:assert/strict'
import { bucketOf } from '../base/id.ts'
import { limits } from '../base/limits.ts'
import { monotonicMs } from '../base/time.ts'
import { primaryServer } from '../ports/database.ts'
import type { Database, Position, Reader } from '../ports/database.ts'
import type { Suite } from './check.ts'
import type { DatabaseSubject } from './database.ts'

const service = 'alpha'
const bucket = bucketOf('customer-1')
const amountText = 'SELECT amount FROM item WHERE bucket = $1 AND id = $2'

/** Sets the amount of a row, which is made when it is not there; the position covers it. */
async function set(database: Database, id: string, amount: number): Promise<Position> {
  let committed: Promise<Position | null> | undefined
  await database.transaction({ service, bucket, deadlineMonotonicMs: monotonicMs() + 8_000 }, async transaction => {
    committed = transaction.committed()
    await transaction.query({ text: 'INSERT INTO item (bucket, id, amount) VALUES ($1, $2, $3) ON CONFLICT (bucket, id) DO UPDATE SET amount = excluded.amount', values: [bucket, id, amount] })
  })
  return (await committed)!
}

const amountAt = async (reader: Reader, id: string): Promise<number> => (await reader.query<{ amount: number }>({ text: amountText, values: [bucket, id] })).rows[0]?.amount ?? -1
const after = (database: Database, ...positions: Position[]) => database.reader(service, { after: positions })

export const readerChecks: Suite<DatabaseSubject>['checks'] = {
  async 'a reader shows what a session has written'({ database }) {
    for (let amount = 0; amount < 20; amount++) {
      const written = await set(database, 'own', amount)
      assert.equal(await amountAt(await after(database, written), 'own'), amount)
    }
  },
  async 'a reader shows nothing older than what another has shown'({ database }) {
    await set(database, 'shared', 0)
    const stopping = new AbortController()
    const writing = (async () => { for (let amount = 1; !stopping.signal.aborted; amount++) await set(database, 'shared', amount) })()
    let seen = -1
    let at: Position[] = [await database.position()]
    for (let round = 0; round < 40; round++) {
      const reader = await after(database, ...at)
      const amount = await amountAt(reader, 'shared')
      assert.ok(amount >= seen, `${amount} was shown after ${seen}`)
      seen = amount
      at = [await reader.shown()]
    }
    stopping.abort()
    await writing
  },
  async 'a reader shows whatever lies at or below the position it tells'({ database }) {
    const written = await set(database, 'early', 7)
    const reader = await after(database)
    const { shows } = reader
    const isCovered = shows === null || shows.timeline > written.timeline || (shows.timeline === written.timeline && shows.lsn >= written.lsn)
    const amount = await amountAt(reader, 'early')
    assert.ok(!isCovered || amount === 7, 'it said so and did not show it')
  },
  async 'a reader at the primary shows whatever has been acknowledged'({ database }) {
    const reader = await database.reader(service, { after: [], server: primaryServer })
    assert.equal(reader.server, primaryServer)
    await set(database, 'here', 3)
    assert.equal(await amountAt(reader, 'here'), 3)
  },
  async 'a reader finds the owner of a claimed value'({ database }) {
    let committed: Promise<Position | null> | undefined
    await database.transaction({ service, bucket, deadlineMonotonicMs: monotonicMs() + 8_000 }, async transaction => {
      committed = transaction.committed()
      await transaction.claim({ scope: 'name', value: 'jake', owner: 'customer-1' })
    })
    const reader = await after(database, (await committed)!)
    assert.equal(await reader.claimed('name', 'jake'), 'customer-1')
    assert.equal(await reader.claimed('name', 'nobody'), null)
  },
  'a reader that would be behind waits a bounded time, and then reads at the primary': {
    fault: 'lag',
    async run({ database, lag }) {
      await set(database, 'late', 0)
      const catchUp = await lag!()
      try {
        const written = await set(database, 'late', 1)
        const startedMs = monotonicMs()
        const reader = await after(database, written)
        assert.equal(await amountAt(reader, 'late'), 1)
        assert.equal(reader.server, primaryServer)
        assert.ok(monotonicMs() - startedMs < limits.queryDeadlineMs, 'the wait is bounded')
      } finally {
        await catchUp()
      }
    },
  },
}
