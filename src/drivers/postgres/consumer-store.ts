/**
 * The statements of the bus: the outbox read as a log below the horizon, each consumer's
 * cursor, and the messages that are parked because they failed.
 *
 * (tx, seq) orders the log. A row may be read once every transaction that could still
 * commit before it has ended: tx < pg_snapshot_xmin(pg_current_snapshot()).
 */
import pg from 'pg'
import type { DeadLetter, Depth } from '../../ports/bus.ts'
import type { Message, Position } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'
import { gatherWrites } from './gathered-writes.ts'
import { formatLsn, parseLsn, positionText, toPlace, toPosition } from './log-position.ts'
import type { OutboxPlace, PositionRow } from './log-position.ts'

export interface Entry extends OutboxPlace { readonly lsn: bigint; readonly message: Message }

/** What lies ahead of a consumer. */
export interface Head {
  /** Taken before the rest: whoever holds an earlier position has nothing that the rest does not know of. */
  readonly position: Position
  /** The newest row, anybody's, that may be read. */
  readonly readable: OutboxPlace | null
  /** The newest committed row of the consumer's own beyond its place; perhaps not yet readable. */
  readonly own: OutboxPlace | null
}

/** How far a consumer is, as the database knows it. */
export interface Progress {
  readonly cursor: OutboxPlace
  /** The newest committed row of its own beyond the cursor, among those a token may have seen. */
  readonly target: OutboxPlace | null
  /** The least LSN of its parked messages. */
  readonly parkedLsn: bigint | null
}

export interface Beginning {
  readonly epoch: string
  readonly place: OutboxPlace
  /** Messages up to here may have been handled before, with the inbox as their memory. */
  readonly newest: OutboxPlace
}

/** What a leader knows of the messages that are parked: whose keys wait, and whom they hold back. */
export class Parked {
  readonly keys: Set<string>
  #lsn: bigint | null

  constructor(keys = new Set<string>(), lsn: bigint | null = null) {
    this.keys = keys
    this.#lsn = lsn
  }

  add({ lsn, message }: Entry): void {
    this.keys.add(message.key)
    if (this.#lsn === null || lsn < this.#lsn) this.#lsn = lsn
  }

  /** True when whoever holds this position may have seen one of them. */
  holdsBack(lsn: bigint): boolean { return this.#lsn !== null && this.#lsn < lsn }
}

interface Row {
  readonly tx: string; readonly seq: string; readonly lsn: string; readonly bucket: number; readonly id: string; readonly kind: 'event' | 'job'
  readonly name: string; readonly key: string; readonly payload: unknown; readonly at_ms: number
  readonly traceparent: string | null; readonly run_at_ms: number | null
}

interface Own { readonly what: string; readonly where: string; readonly values: readonly unknown[] }

/** The rows of a consumer: jobs, or the events of its names, which are then the third value. */
const ownOf = (names: readonly string[] | null): Own =>
  names === null ? { what: 'jobs', where: `kind = 'job'`, values: [] } : { what: 'events', where: `kind = 'event' AND name = ANY ($3)`, values: [names] }

// ORDER BY names the table: a bare tx would be the text of the output, and 1000 come before 999.
const pollText = (where: string, rowsMax: number) => ofRuntime('outbox', `
  SELECT tx::text, seq::text, lsn::text, bucket, id, kind, name, key, payload, traceparent,
    extract(epoch FROM at)::float8 * 1000 AS at_ms, extract(epoch FROM run_at)::float8 * 1000 AS run_at_ms
  FROM tenfold.outbox
  WHERE (tx, seq) > ($1::xid8, $2::bigint) AND tx < pg_snapshot_xmin(pg_current_snapshot()) AND ${where}
  ORDER BY outbox.tx, outbox.seq LIMIT ${rowsMax}`)
const headText = (where: string) => ofRuntime('outbox', `
  SELECT (SELECT tx::text || ' ' || seq::text FROM tenfold.outbox WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY tx DESC, seq DESC LIMIT 1) AS readable,
    (SELECT tx::text || ' ' || seq::text FROM tenfold.outbox
      WHERE (tx, seq) > ($1::xid8, $2::bigint) AND ${where} ORDER BY tx DESC, seq DESC LIMIT 1) AS own`)
const progressText = ofRuntime('bus', `
  SELECT at.tx::text, at.seq::text,
    (SELECT o.tx::text || ' ' || o.seq::text FROM tenfold.outbox o
      WHERE (o.tx, o.seq) > (at.tx, at.seq) AND o.lsn < $2 AND (at.names IS NULL OR o.name = ANY (at.names))
      ORDER BY o.tx DESC, o.seq DESC LIMIT 1) AS target,
    (SELECT min(lsn)::text FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NULL) AS parked_lsn
  FROM tenfold.cursor at WHERE consumer = $1
  UNION ALL
  SELECT '0', '0', (SELECT tx::text || ' ' || seq::text FROM tenfold.outbox ORDER BY tx DESC, seq DESC LIMIT 1), NULL
  WHERE NOT EXISTS (SELECT FROM tenfold.cursor WHERE consumer = $1)`)
const depthText = ofRuntime('bus', `
  SELECT count(o.tx) AS waiting, extract(epoch FROM now() - min(o.at))::float8 * 1000 AS oldest,
    (SELECT count(*) FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NULL) AS parked,
    (SELECT count(*) FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NOT NULL) AS dead
  FROM tenfold.cursor at JOIN tenfold.outbox o ON (o.tx, o.seq) > (at.tx, at.seq)
    AND CASE WHEN at.names IS NULL THEN o.kind = 'job' ELSE o.kind = 'event' AND o.name = ANY (at.names) END
  WHERE at.consumer = $1`)
const parkText = ofRuntime('bus', `
  INSERT INTO tenfold.parked (consumer, tx, seq, lsn, id, key, message, attempts, next_at, error)
  SELECT $1, tx, seq, lsn, id, key, message, $8, now() + $9 * interval '1 ms', $10
  FROM unnest($2::xid8[], $3::bigint[], $4::pg_lsn[], $5::uuid[], $6::text[], $7::jsonb[]) AS entry (tx, seq, lsn, id, key, message)
  ON CONFLICT DO NOTHING`)

export class ConsumerStore {
  readonly #client: pg.Client | pg.Pool
  readonly consumer: string

  constructor(client: pg.Client | pg.Pool, consumer: string) {
    this.#client = client
    this.consumer = consumer
  }

  /**
   * Writes down which names the consumer reads, and tells where it stopped. A new epoch begins:
   * it waits for a transaction that moves the cursor, and no other of before will.
   */
  async begin(names: readonly string[] | null): Promise<Beginning> {
    const { rows } = await this.#client.query<OutboxPlace & { epoch: string }>(ofRuntime('bus', `INSERT INTO tenfold.cursor (consumer, names) VALUES ($1, $2)
      ON CONFLICT (consumer) DO UPDATE SET names = excluded.names, epoch = cursor.epoch + 1 RETURNING tx::text, seq::text, epoch::text`), [this.consumer, names])
    // Taken afterwards: whatever an earlier leader was given is committed, and known here.
    const { rows: [newest] } = await this.#client.query<OutboxPlace>(ofRuntime('bus', 'SELECT tx::text, seq::text FROM tenfold.outbox ORDER BY outbox.tx DESC, seq DESC LIMIT 1'))
    const { epoch, ...place } = rows[0]!
    return { epoch, place, newest: newest ?? place }
  }

  /** One process delivers to a consumer: true when it is this one, as long as the connection lasts. */
  async lock(): Promise<boolean> {
    const { rows } = await this.#client.query<{ held: boolean }>(`SELECT pg_try_advisory_lock(hashtextextended('tenfold consumer ' || $1, 0)) AS held`, [this.consumer])
    return rows[0]!.held
  }

  async saveCursor({ tx, seq }: OutboxPlace): Promise<void> {
    await this.#client.query({ name: 'bus_save_cursor', text: ofRuntime('bus', 'UPDATE tenfold.cursor SET tx = $2, seq = $3, updated_at = now() WHERE consumer = $1'), values: [this.consumer, tx, seq] })
  }

  async poll(after: OutboxPlace, names: readonly string[] | null, rowsMax: number): Promise<Entry[]> {
    const { what, where, values } = ownOf(names)
    const { rows } = await this.#client.query<Row>({ name: `bus_poll_${what}_${rowsMax}`, text: pollText(where, rowsMax), values: [after.tx, after.seq, ...values] })
    return rows.map(toEntry)
  }

  /** Two statements, one after the other, in one trip where the connection is pipelined. */
  async head(after: OutboxPlace, names: readonly string[] | null): Promise<Head> {
    const { what, where, values } = ownOf(names)
    if (!(this.#client instanceof pg.Pool)) gatherWrites(this.#client)
    const [position, head] = await Promise.all([
      this.#client.query<PositionRow>({ name: 'bus_position', text: positionText }),
      this.#client.query<{ readable: string | null; own: string | null }>({ name: `bus_head_${what}`, text: headText(where), values: [after.tx, after.seq, ...values] }),
    ])
    return { position: toPosition(position.rows[0]!), readable: toPlace(head.rows[0]!.readable), own: toPlace(head.rows[0]!.own) }
  }

  /** A consumer that has never begun stands before everything. */
  async progress(lsn: bigint): Promise<Progress> {
    const { rows } = await this.#client.query<OutboxPlace & { target: string | null; parked_lsn: string | null }>({ name: 'bus_progress', text: progressText, values: [this.consumer, formatLsn(lsn)] })
    const { tx, seq, target, parked_lsn: parkedLsn } = rows[0]!
    return { cursor: { tx, seq }, target: toPlace(target), parkedLsn: parkedLsn === null ? null : parseLsn(parkedLsn) }
  }

  async park(entries: readonly Entry[], attempts: number, delayMs: number, error: string): Promise<void> {
    const column = <T>(pick: (entry: Entry) => T) => entries.map(pick)
    await this.#client.query({
      name: 'bus_park', text: parkText,
      values: [this.consumer, column(one => one.tx), column(one => one.seq), column(one => formatLsn(one.lsn)),
        column(one => one.message.id), column(one => one.message.key), column(one => JSON.stringify(one.message)), attempts, delayMs, error],
    })
  }

  /** What waits for another try. */
  async parked(): Promise<Parked> {
    const { rows } = await this.#client.query<{ key: string; lsn: string }>({
      name: 'bus_parked', text: ofRuntime('bus', 'SELECT key, min(lsn)::text AS lsn FROM tenfold.parked WHERE consumer = $1 AND dead_at IS NULL GROUP BY key'), values: [this.consumer],
    })
    const least = rows.reduce<bigint | null>((lsn, row) => lsn === null || parseLsn(row.lsn) < lsn ? parseLsn(row.lsn) : lsn, null)
    return new Parked(new Set(rows.map(row => row.key)), least)
  }

  /** The oldest parked message of each key whose time has come. */
  async parkedDue(): Promise<(Entry & { attempts: number })[]> {
    const { rows } = await this.#client.query<{ tx: string; seq: string; lsn: string; message: Message; attempts: number; due: boolean }>({
      name: 'bus_parked_due', values: [this.consumer],
      text: ofRuntime('bus', `SELECT DISTINCT ON (key) tx::text, seq::text, lsn::text, message, attempts, next_at <= now() AS due FROM tenfold.parked
        WHERE consumer = $1 AND dead_at IS NULL ORDER BY key, parked.tx, parked.seq`),
    })
    return rows.filter(row => row.due).map(row => ({ ...row, lsn: parseLsn(row.lsn) }))
  }

  async unpark({ tx, seq }: OutboxPlace): Promise<void> {
    await this.#client.query('DELETE FROM tenfold.parked WHERE consumer = $1 AND tx = $2 AND seq = $3', [this.consumer, tx, seq])
  }

  async failAgain({ tx, seq }: OutboxPlace, attempts: number, delayMs: number, dead: boolean, error: string): Promise<void> {
    await this.#client.query(`UPDATE tenfold.parked SET attempts = $4, next_at = now() + $5 * interval '1 ms', dead_at = CASE WHEN $6 THEN now() END, error = $7
      WHERE consumer = $1 AND tx = $2 AND seq = $3`, [this.consumer, tx, seq, attempts, delayMs, dead, error])
  }

  async depth(): Promise<Depth> {
    const { rows } = await this.#client.query<{ waiting: string; oldest: number | null; parked: string; dead: string }>({ name: 'bus_depth', text: depthText, values: [this.consumer] })
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

function toEntry(row: Row): Entry {
  const { tx, seq, lsn, bucket, id, kind, name, key, payload } = row
  return {
    tx, seq, lsn: parseLsn(lsn),
    message: { id, kind, name, key, bucket, payload, atMs: Math.round(row.at_ms), traceparent: row.traceparent ?? undefined, runAtMs: row.run_at_ms === null ? undefined : Math.round(row.run_at_ms) },
  }
}
