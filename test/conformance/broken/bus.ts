/** Buses that are wrong on purpose: the suite must notice. */
import pg from 'pg'
import { silentLogger } from '../../../src/base/log.ts'
import { sleep } from '../../../src/base/time.ts'
import { openPostgresBus } from '../../../src/drivers/postgres/bus.ts'
import type { Bus, Subscribed, Subscription } from '../../../src/ports/bus.ts'
import type { Message, Position } from '../../../src/ports/database.ts'

const pollText = `
  SELECT seq, bucket, id, kind, name, key, payload, (extract(epoch FROM at) * 1000)::float8 AS "atMs"
  FROM tenfold.outbox WHERE seq > $1 AND name = ANY ($2) ORDER BY seq LIMIT 500`

async function follow(pool: pg.Pool, subscription: Subscription, signal: AbortSignal): Promise<void> {
  for (let seq = '0'; !signal.aborted; await sleep(2, signal)) {
    const { rows } = await pool.query<Message & { seq: string }>(pollText, [seq, subscription.names])
    if (rows.length === 0) continue
    await subscription.handle(rows)
    seq = rows.at(-1)!.seq
  }
}

/** Its cursor is the sequence number alone: what commits late is passed over. */
export function naiveBus(url: string): Bus {
  const bus = openPostgresBus({ url, log: silentLogger })
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  pool.on('error', () => {})
  const stopping = new AbortController()
  const loops: Promise<void>[] = []
  let closing: Promise<void> | undefined
  return {
    open: () => bus.open(), publish: messages => bus.publish(messages), caughtUp: (consumer, timeoutMs) => bus.caughtUp(consumer, timeoutMs),
    depth: consumer => bus.depth(consumer), deadLetters: (consumer, limit) => bus.deadLetters(consumer, limit), replay: (consumer, id) => bus.replay(consumer, id),
    async subscribe(subscription): Promise<Subscribed> {
      const stopped = new AbortController()
      const loop = follow(pool, subscription, AbortSignal.any([stopping.signal, stopped.signal])).catch(() => {})
      loops.push(loop)
      return { stop: async () => { stopped.abort(); await loop } }
    },
    close: () => closing ??= (async () => {
      stopping.abort()
      await Promise.all(loops)
      await Promise.all([bus.close(), pool.end()])
    })(),
  }
}

const readingAs = (url: string, change: (position: Position | undefined) => Position | undefined): Bus => {
  const bus = openPostgresBus({ url, log: silentLogger })
  return { ...bus, caughtUp: (consumer, timeoutMs, position) => bus.caughtUp(consumer, timeoutMs, change(position)) }
}

/** Takes every token for one that has seen nothing. */
export const trustingBus = (url: string): Bus => readingAs(url, position => position && { ...position, lsn: 0n })

/** Takes every token for one that has seen everything. */
export const anxiousBus = (url: string): Bus => readingAs(url, () => undefined)
