/** The outbox port on Postgres: the same table, horizon and parked messages as those of the bus. */
import type pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { Message, Position } from '../../ports/database.ts'
import type { ConsumerPlace, Outbox, Parking, Part } from '../../ports/outbox.ts'
import { ofRuntime } from './attribution.ts'
import { ConsumerStore } from './consumer-store.ts'
import { formatLsn, lsnMax, parseLsn, shard } from './log-position.ts'
import { OutboxRelay, relayName } from './outbox-relay.ts'
import { primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

export interface PostgresOutboxOptions {
  readonly url: string
  readonly log: Logger
  /** Registers a call-back for commits of this process. */
  readonly onAppended?: (callback: (names: ReadonlySet<string>) => void) => () => void
}

const remotePollMs = 5
const uncarriedText = ofRuntime('outbox', `
  SELECT EXISTS (SELECT FROM tenfold.outbox o
    WHERE (o.tx, o.seq) > (coalesce((SELECT tx FROM tenfold.cursor WHERE consumer = '${relayName}'), '0'), coalesce((SELECT seq FROM tenfold.cursor WHERE consumer = '${relayName}'), 0))
      AND o.kind = 'event' AND o.name = ANY ($1) AND o.lsn < $2) AS waits`)
const noteText = ofRuntime('outbox', `
  INSERT INTO tenfold.cursor (consumer, names, tx, seq)
  SELECT consumer, names::text[], tx, seq FROM unnest($1::text[], $2::text[], $3::xid8[], $4::bigint[]) AS place (consumer, names, tx, seq)
  ON CONFLICT (consumer) DO UPDATE SET names = excluded.names, tx = excluded.tx, seq = excluded.seq, updated_at = now()
  WHERE (cursor.tx, cursor.seq, cursor.names) IS DISTINCT FROM (excluded.tx, excluded.seq, excluded.names)`)
const ofPart = `consumer = $1 AND dead_at IS NULL AND (message->>'bucket')::int % $2 = $3`
const blockedText = ofRuntime('bus', `SELECT key, min(lsn)::text AS lsn FROM tenfold.parked WHERE ${ofPart} GROUP BY key`)
const dueText = ofRuntime('bus', `
  SELECT DISTINCT ON (key) tx::text, seq::text, lsn::text, message, attempts, next_at <= now() AS due FROM tenfold.parked
  WHERE ${ofPart} ORDER BY key, parked.tx, parked.seq`)

export { relayName }
export const openPostgresOutbox = (options: PostgresOutboxOptions): Outbox => new PostgresOutbox(options)

class PostgresOutbox implements Outbox {
  readonly #options: PostgresOutboxOptions
  readonly #pool: pg.Pool
  readonly #relays = new Set<OutboxRelay>()
  #closing: Promise<void> | undefined

  constructor(options: PostgresOutboxOptions) {
    this.#options = options
    this.#pool = primaryPool({ connectionString: options.url, max: 4, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold outbox' })
    this.#pool.on('error', () => {})
  }

  async open(): Promise<void> { await this.#query('SELECT 1') }

  close(): Promise<void> {
    return this.#closing ??= (async () => {
      await Promise.all([...this.#relays].map(relay => relay.stop()))
      await this.#pool.end()
    })()
  }

  async relay(carrier: Parameters<Outbox['relay']>[0]) {
    const relay = new OutboxRelay(this.#options, carrier)
    this.#relays.add(relay)
    return { stop: async () => { await relay.stop(); this.#relays.delete(relay) } }
  }

  async carried(names: readonly string[], timeoutMs: number, position?: Position): Promise<boolean> {
    const lsn = formatLsn(position?.shard === shard ? position.lsn : lsnMax)
    for (const deadlineMs = monotonicMs() + timeoutMs; ; await sleep(remotePollMs)) {
      const { rows: [row] } = await this.#query<{ waits: boolean }>({ name: 'outbox_uncarried', text: uncarriedText }, [names, lsn])
      if (!row!.waits) return true
      if (monotonicMs() >= deadlineMs) return false
    }
  }

  async note(places: Parameters<Outbox['note']>[0]): Promise<void> {
    if (places.length === 0) return
    // Arrays of arrays must all have one length: the names of each go as the text of an array.
    const names = places.map(one => `{${one.names.map(name => JSON.stringify(name)).join(',')}}`)
    await this.#query({ name: 'outbox_note', text: noteText }, [places.map(one => one.consumer), names, places.map(one => one.tx), places.map(one => one.seq)])
  }

  async noted(): Promise<ConsumerPlace[]> {
    const { rows } = await this.#query<ConsumerPlace>(`SELECT consumer, names, tx::text, seq::text FROM tenfold.cursor WHERE names IS NOT NULL AND consumer <> '${relayName}'`)
    return rows
  }

  parking({ consumer, index, count }: Part): Parking {
    const store = new ConsumerStore(this.#pool, consumer)
    return {
      park: (entries, attempts, delayMs, error) => store.park(entries, attempts, delayMs, error),
      unpark: place => store.unpark(place),
      fail: (place, attempts, delayMs, dead, error) => store.failAgain(place, attempts, delayMs, dead, error),
      blocked: async () => {
        const { rows } = await this.#query<{ key: string; lsn: string }>({ name: 'outbox_blocked', text: blockedText }, [consumer, count, index])
        const least = rows.map(row => parseLsn(row.lsn)).reduce<bigint | null>((lsn, one) => lsn === null || one < lsn ? one : lsn, null)
        return { keys: new Set(rows.map(row => row.key)), lsn: least }
      },
      due: async () => {
        const { rows } = await this.#query<{ tx: string; seq: string; lsn: string; message: Message; attempts: number; due: boolean }>({ name: 'outbox_due', text: dueText }, [consumer, count, index])
        return rows.filter(row => row.due).map(({ tx, seq, lsn, message, attempts }) => ({ tx, seq, lsn: parseLsn(lsn), message, attempts }))
      },
    }
  }

  async #query<Row extends pg.QueryResultRow>(statement: string | { name: string; text: string }, values: unknown[] = []): Promise<pg.QueryResult<Row>> {
    return this.#pool.query<Row>(typeof statement === 'string' ? { text: statement } : { ...statement, values }).catch((error: unknown) => { throw refusalOf(error) })
  }
}
