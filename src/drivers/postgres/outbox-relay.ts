/**
 * The relay of the outbox: a loop on a connection of its own, that gives each event to a
 * carrier below the horizon, in the order of (tx, seq).
 *
 *   connect ─▶ lock (one relay of all processes) ─▶ begin: where is the broker? ─▶ poll ─▶ carry ─▶ save cursor ─▶ poll …
 *                                                    └ nothing: wait for a commit or pollMs
 *   the connection ends: all of it again after a backoff
 *
 * No transaction is open while it carries, however long that takes: a broker that is away
 * holds neither commands nor the horizon back.
 */
import type pg from 'pg'
import { backoffMs } from '../../base/backoff.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { sleep } from '../../base/time.ts'
import type { Subscribed } from '../../ports/bus.ts'
import type { Carrier, OutboxEntry, OutboxPlace } from '../../ports/outbox.ts'
import { ofRuntime } from './attribution.ts'
import { ConsumerPace } from './consumer-pace.ts'
import { parseLsn } from './log-position.ts'
import { PrimaryClient } from './primary-client.ts'
import { isConnectionLoss } from './refusal.ts'

export interface OutboxRelayOptions {
  readonly url: string
  readonly log: Logger
  readonly onAppended?: (callback: (names: ReadonlySet<string>) => void) => () => void
}

/** Its line among the cursors. */
export const relayName = 'tenfold.broker'
const everything = ['*']
const pollMs = 250
const reconnect = { baseMs: 50, capMs: 1_000 }

interface Row {
  readonly tx: string; readonly seq: string; readonly lsn: string; readonly bucket: number; readonly id: string
  readonly name: string; readonly key: string; readonly payload: unknown; readonly at_ms: number; readonly traceparent: string | null
}

const lockText = `SELECT pg_try_advisory_lock(hashtextextended('tenfold consumer ${relayName}', 0)) AS held`
const saveText = ofRuntime('outbox', `
  INSERT INTO tenfold.cursor (consumer, names, tx, seq) VALUES ('${relayName}', $1, $2, $3)
  ON CONFLICT (consumer) DO UPDATE SET names = excluded.names, tx = excluded.tx, seq = excluded.seq, updated_at = now()`)
const pollText = ofRuntime('outbox', `
  SELECT tx::text, seq::text, lsn::text, bucket, id, name, key, payload, traceparent, extract(epoch FROM at)::float8 * 1000 AS at_ms
  FROM tenfold.outbox WHERE (tx, seq) > ($1::xid8, $2::bigint) AND tx < pg_snapshot_xmin(pg_current_snapshot()) AND kind = 'event'
  ORDER BY outbox.tx, outbox.seq LIMIT ${limits.batchEventsMax}`)
const heldBackText = ofRuntime('outbox', `
  SELECT EXISTS (SELECT FROM tenfold.outbox WHERE (tx, seq) > ($1::xid8, $2::bigint) AND tx >= pg_snapshot_xmin(pg_current_snapshot()) AND kind = 'event') AS held_back`)

export class OutboxRelay implements Subscribed {
  readonly #options: OutboxRelayOptions
  readonly #carrier: Carrier
  readonly #stopping = new AbortController()
  readonly #pace = new ConsumerPace(this.#stopping.signal, () => false)
  readonly #stopHook: () => void
  readonly #done: Promise<void>

  constructor(options: OutboxRelayOptions, carrier: Carrier) {
    this.#options = options
    this.#carrier = carrier
    this.#stopHook = options.onAppended?.(() => this.#pace.wake()) ?? (() => {})
    this.#done = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#stopHook()
    this.#pace.stop()
    await this.#done
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    for (let attempt = 1; !signal.aborted; attempt++) {
      const client = new PrimaryClient({ connectionString: this.#options.url, connectionTimeoutMillis: limits.connectTimeoutMs, keepAlive: true, application_name: `tenfold ${relayName}` })
      const lost = new AbortController()
      client.on('error', () => lost.abort()).on('end', () => lost.abort()).on('notification', () => this.#pace.wake())
      try {
        await client.connect()
        if (!await this.#lock(client)) return
        attempt = 1
        await client.query('LISTEN tenfold_outbox')
        await this.#lead(client, AbortSignal.any([signal, lost.signal]))
      } catch (error) {
        const isLoss = signal.aborted || lost.signal.aborted || isConnectionLoss(error)
        this.#options.log[isLoss ? 'debug' : 'error']({ err: error }, 'the relay stopped and begins again')
      } finally {
        await client.end().catch(() => {})
      }
      if (!signal.aborted) await sleep(backoffMs(reconnect, Math.min(attempt, 6)), signal)
    }
  }

  /** False when it is to stop before it leads. */
  async #lock(client: pg.Client): Promise<boolean> {
    while (!this.#stopping.signal.aborted) {
      const { rows } = await client.query<{ held: boolean }>(lockText)
      if (rows[0]!.held) return true
      await sleep(pollMs, this.#stopping.signal)
    }
    return false
  }

  /** Ends when the signal aborts, also in the middle of carrying: who has lost its connection no longer leads. */
  async #lead(client: pg.Client, signal: AbortSignal): Promise<void> {
    let place: OutboxPlace = await this.#carrier.begin(signal) ?? { tx: '0', seq: '0' }
    await this.#save(client, place)
    while (!signal.aborted) {
      this.#pace.look()
      const entries = await poll(client, place)
      if (entries.length > 0) {
        await this.#carrier.carry(entries, signal)
        place = entries.at(-1)!
        await this.#save(client, place)
        if (entries.length < limits.batchEventsMax) await this.#pace.restAfter(entries.length)
        continue
      }
      const { rows } = await client.query<{ held_back: boolean }>({ name: 'relay_held_back', text: heldBackText, values: [place.tx, place.seq] })
      if (rows[0]!.held_back) await this.#pace.awaitHorizon()
      else await this.#pace.wait(pollMs)
    }
  }

  async #save(client: pg.Client, { tx, seq }: OutboxPlace): Promise<void> {
    await client.query({ name: 'relay_save', text: saveText, values: [everything, tx, seq] })
  }
}

async function poll(client: pg.Client, after: OutboxPlace): Promise<OutboxEntry[]> {
  const { rows } = await client.query<Row>({ name: 'relay_poll', text: pollText, values: [after.tx, after.seq] })
  return rows.map(({ tx, seq, lsn, bucket, id, name, key, payload, at_ms: atMs, traceparent }) => ({
    tx, seq, lsn: parseLsn(lsn),
    message: { id, kind: 'event', name, key, bucket, payload, atMs: Math.round(atMs), traceparent: traceparent ?? undefined, runAtMs: undefined },
  }))
}
