/**
 * The statements of the bus: the outbox read as a log below the horizon, each consumer's
 * cursor, and the messages that are parked because they failed.
 *
 * (tx, seq) orders the log. A row may be read once every transaction that could still
 * commit before it has ended: tx < pg_snapshot_xmin(pg_current_snapshot()).
 */
import type pg from 'pg'
import type { DeadLetter, Depth } from '../../ports/bus.ts'
import type { Message } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'

export interface LogPosition { readonly tx: string; readonly seq: string }
export interface Entry extends LogPosition { readonly message: Message }

interface Row {
  readonly tx: string; readonly seq: string; readonly bucket: number; readonly id: string; readonly kind: 'event' | 'job'
  readonly name: string; readonly key: string; readonly payload: unknown; readonly at_ms: number
  readonly traceparent: string | null; readonly run_at_ms: number | null
}

// ORDER BY names the table: a bare tx would be the text of the output, and 1000 come before 999.
const pollText = ofRuntime('outbox', `
  SELECT tx::text, seq::text, bucket, id, kind, name, key, payload, traceparent,
    extract(epoch FROM at)::float8 * 1000 AS at_ms, extract(epoch FROM run_at)::float8 * 1000 AS run_at_ms
  FROM tenfold.outbox
  WHERE (tx, seq) > ($1::xid8, $2::bigint) AND tx < pg_snapshot_xmin(pg_current_snapshot())
    AND CASE WHEN $3::text[] IS NULL THEN kind = 'job' ELSE kind = 'event' AND name = ANY ($3) END
  ORDER BY outbox.tx, outbox.seq LIMIT $4`)
// What lies beyond the cursor: the newest row that may be read, and the newest row of all that is committed.
const headText = ofRuntime('outbox', `
  SELECT (SELECT tx::text || ' ' || seq::text FROM tenfold.outbox WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY tx DESC, seq DESC LIMIT 1) AS readable,
         (SELECT tx::text || ' ' || seq::text FROM tenfold.outbox ORDER BY tx DESC, seq DESC LIMIT 1) AS committed`)

export class ConsumerStore {
  readonly #client: pg.Client | pg.Pool
  readonly consumer: string

  constructor(client: pg.Client | pg.Pool, consumer: string) {
    this.#client = client
    this.consumer = consumer
  }

  async cursor(): Promise<LogPosition> {
    const { rows } = await this.#client.query<LogPosition>({ name: 'bus_cursor', text: ofRuntime('bus', 'SELECT tx::text, seq::text FROM tenfold.cursor WHERE consumer = $1'), values: [this.consumer] })
    return rows[0] ?? { tx: '0', seq: '0' }
  }

  async saveCursor({ tx, seq }: LogPosition): Promise<void> {
    await this.#client.query({
      name: 'bus_save_cursor', values: [this.consumer, tx, seq],
      text: ofRuntime('bus', `INSERT INTO tenfold.cursor (consumer, tx, seq) VALUES ($1, $2, $3)
        ON CONFLICT (consumer) DO UPDATE SET tx = excluded.tx, seq = excluded.seq, updated_at = now()`),
    })
  }

  async poll(after: LogPosition, names: readonly string[] | null, limit: number): Promise<Entry[]> {
    const { rows } = await this.#client.query<Row>({ name: 'bus_poll', text: pollText, values: [after.tx, after.seq, names, limit] })
    return rows.map(toEntry)
  }

  async head(): Promise<{ readable: LogPosition | null; committed: LogPosition | null }> {
    const { rows } = await this.#client.query<{ readable: string | null; committed: string | null }>({ name: 'bus_head', text: headText })
    return { readable: toPosition(rows[0]!.readable), committed: toPosition(rows[0]!.committed) }
  }

  async park(entries: readonly Entry[], attempts: number, delayMs: number, error: string): Promise<void> {
    for (const { tx, seq, message } of entries) {
      await this.#client.query(`INSERT INTO tenfold.parked (consumer, tx, seq, id, key, message, attempts, next_at, error)
        VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8 * interval '1 ms', $9) ON CONFLICT DO NOTHING`,
        [this.consumer, tx, seq, message.id, message.key, JSON.stringify(message), attempts, delayMs, error])
    }
  }

  /** Keys with a message that waits for another try. */
  async parkedKeys(): Promise<Set<string>> {
    const { rows } = await this.#client.query<{ key: string }>({ name: 'bus_parked_keys', text: ofRuntime('bus', 'SELECT DISTINCT key FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NULL'), values: [this.consumer] })
    return new Set(rows.map(row => row.key))
  }

  /** The oldest parked message of each key whose time has come. */
  async parkedDue(): Promise<(Entry & { attempts: number })[]> {
    const { rows } = await this.#client.query<{ tx: string; seq: string; message: Message; attempts: number; due: boolean }>({
      name: 'bus_parked_due', values: [this.consumer],
      text: ofRuntime('bus', `SELECT DISTINCT ON (key) tx::text, seq::text, message, attempts, next_at <= now() AS due FROM tenfold.parked
        WHERE consumer = $1 AND dead_at IS NULL ORDER BY key, parked.tx, parked.seq`),
    })
    return rows.filter(row => row.due)
  }

  async unpark({ tx, seq }: LogPosition): Promise<void> {
    await this.#client.query('DELETE FROM tenfold.parked WHERE consumer = $1 AND tx = $2 AND seq = $3', [this.consumer, tx, seq])
  }

  async failAgain({ tx, seq }: LogPosition, attempts: number, delayMs: number, dead: boolean, error: string): Promise<void> {
    await this.#client.query(`UPDATE tenfold.parked SET attempts = $4, next_at = now() + $5 * interval '1 ms', dead_at = CASE WHEN $6 THEN now() END, error = $7
      WHERE consumer = $1 AND tx = $2 AND seq = $3`, [this.consumer, tx, seq, attempts, delayMs, dead, error])
  }

  async depth(names: readonly string[] | null): Promise<Depth> {
    const { rows } = await this.#client.query<{ waiting: string; oldest: number | null; parked: string; dead: string }>(`
      SELECT count(*) AS waiting, extract(epoch FROM now() - min(at))::float8 * 1000 AS oldest,
        (SELECT count(*) FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NULL) AS parked,
        (SELECT count(*) FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NOT NULL) AS dead
      FROM tenfold.outbox o
      WHERE (o.tx, o.seq) > (coalesce((SELECT tx FROM tenfold.cursor WHERE consumer = $1), '0'), coalesce((SELECT seq FROM tenfold.cursor WHERE consumer = $1), 0))
        AND CASE WHEN $2::text[] IS NULL THEN kind = 'job' ELSE kind = 'event' AND name = ANY ($2) END`, [this.consumer, names])
    const row = rows[0]!
    return { waiting: Number(row.waiting), oldestAgeMs: Math.max(0, row.oldest ?? 0), parked: Number(row.parked), dead: Number(row.dead) }
  }

  async deadLetters(limit: number): Promise<DeadLetter[]> {
    const { rows } = await this.#client.query<{ message: Message; attempts: number; error: string; dead_at: Date }>(
      'SELECT message, attempts, error, dead_at FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NOT NULL ORDER BY tx, seq LIMIT $2', [this.consumer, limit])
    return rows.map(row => ({ consumer: this.consumer, message: row.message, attempts: row.attempts, error: row.error, atMs: row.dead_at.getTime() }))
  }

  async replay(messageId: string): Promise<boolean> {
    const { rowCount } = await this.#client.query(`UPDATE tenfold.parked SET attempts = 0, dead_at = NULL, next_at = now()
      WHERE consumer = $1 AND id = $2 AND dead_at IS NOT NULL`, [this.consumer, messageId])
    return (rowCount ?? 0) > 0
  }
}

function toPosition(text: string | null): LogPosition | null {
  const [tx, seq] = text?.split(' ') ?? []
  return tx && seq ? { tx, seq } : null
}

/** True when `one` is at or beyond `other`. */
export function reaches(one: LogPosition, other: LogPosition): boolean {
  const [a, b] = [BigInt(one.tx), BigInt(other.tx)]
  return a > b || (a === b && BigInt(one.seq) >= BigInt(other.seq))
}

function toEntry(row: Row): Entry {
  const { tx, seq, bucket, id, kind, name, key, payload } = row
  return {
    tx, seq,
    message: { id, kind, name, key, bucket, payload, atMs: Math.round(row.at_ms), traceparent: row.traceparent ?? undefined, runAtMs: row.run_at_ms === null ? undefined : Math.round(row.run_at_ms) },
  }
}
