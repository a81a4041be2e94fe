/**
 * One replica as a process sees it: how far it has replayed the log, on which timeline, and
 * connections that read there. A replica that was on another timeline, or cannot say on
 * which it is, is not read from.
 */
import pg from 'pg'
import type { Position, Result, Statement } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'
import { Connections } from './connection.ts'
import type { ConnectionOptions } from './connection.ts'
import { parseLsn, shard } from './log-position.ts'
import { textOf, urlAt } from './members.ts'
import type { Address, Members } from './members.ts'

/** Without the right to see it (pg_read_all_stats) the timeline of a replica is hidden, and believed to be that of the primary. */
const lookText = ofRuntime('replica', `
  SELECT pg_is_in_recovery() AS standby, pg_last_wal_replay_lsn()::text AS replayed,
    CASE WHEN pg_is_in_recovery()
      THEN (SELECT CASE WHEN status = 'streaming' THEN received_tli WHEN status IS NULL THEN 0 END FROM pg_stat_wal_receiver)
      ELSE ('x' || substr(pg_walfile_name(pg_current_wal_flush_lsn()), 1, 8))::bit(32)::int END AS timeline`)
/**
 * What is being replayed shows before it is counted as replayed, so that what was shown may
 * lie a record beyond that; at most all that has been received. Nothing is under way in a pause.
 */
const shownText = ofRuntime('replica', `
  SELECT CASE WHEN pg_get_wal_replay_pause_state() = 'paused' THEN pg_last_wal_replay_lsn()
    ELSE greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) END::text AS lsn`)
const lookMs = 1_000

interface LookRow { readonly standby: boolean; readonly replayed: string | null; readonly timeline: number | null }

export class Replica {
  readonly address: Address
  readonly server: string
  /** Statements under way. */
  load = 0
  /** False until it answers, and while it is a primary. */
  isStandby = false
  /** 0 while it is not known. */
  timeline = 0
  replayed = -1n
  readonly #url: string
  readonly #connections: Connections
  #client: pg.Client | null = null
  #looking: Promise<void> | undefined
  #nextShown: Promise<Position> | undefined

  constructor(options: ConnectionOptions, address: Address) {
    this.address = address
    this.server = textOf(address)
    this.#url = urlAt(options.url, address)
    this.#connections = new Connections({ ...options, url: this.#url, metrics: null })
  }

  async close(): Promise<void> {
    await this.#client?.end().catch(() => {})
    await this.#connections.close()
  }

  /** Asks how far it is; who asks meanwhile waits for the same answer. */
  look(members: Members): Promise<void> {
    return this.#looking ??= this.#look(members).catch(() => this.lose()).finally(() => { this.#looking = undefined })
  }

  async #look(members: Members): Promise<void> {
    const client = await this.#connected()
    const { rows: [row] } = await client.query<LookRow>({ name: 'tenfold_look', text: lookText })
    const { standby, replayed, timeline } = row!
    // While it receives nothing it stays on the timeline it was seen on.
    if (timeline !== null) this.timeline = timeline === 0 ? members.timeline : timeline
    // Somebody has promoted it: the primary that is known here has been replaced.
    if (!standby) members.require(this.timeline)
    this.replayed = replayed === null ? -1n : parseLsn(replayed)
    this.isStandby = standby
  }

  /** Nothing is known of it any more, until it has answered again. What is being read there is not waited for. */
  lose(): void {
    this.isStandby = false
    this.timeline = 0
    this.replayed = -1n
    this.#client?.connection.stream.destroy()
    this.#client = null
    this.#connections.cutReaders()
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client
    const client = new pg.Client({ connectionString: this.#url, connectionTimeoutMillis: lookMs, query_timeout: lookMs, keepAlive: true, pipeline: true, application_name: 'tenfold replica' })
    client.on('error', () => { if (this.#client === client) this.lose() })
    await client.connect()
    return this.#client = client
  }

  async query<Row>(service: string, statement: Statement): Promise<Result<Row>> {
    this.load++
    try { return await this.#connections.read<Row>(service, statement) } finally { this.load-- }
  }

  /** A position that covers everything it has shown to anybody before the call; callers of the same moment share it. */
  shown(): Promise<Position> {
    return this.#nextShown ??= new Promise((resolve, reject) => setImmediate(() => {
      this.#nextShown = undefined
      this.#shown().then(resolve, reject)
    }))
  }

  async #shown(): Promise<Position> {
    const { timeline } = this
    const { rows: [row] } = await (await this.#connected()).query<{ lsn: string }>({ name: 'tenfold_shown', text: shownText })
    return { shard, timeline, lsn: parseLsn(row!.lsn) }
  }

  get position(): Position { return { shard, timeline: this.timeline, lsn: this.replayed } }

  /** True when it is known to show everything up to these. */
  reaches(positions: readonly Position[]): boolean {
    return positions.every(wanted => wanted.shard !== shard || wanted.timeline < this.timeline || (wanted.timeline === this.timeline && wanted.lsn <= this.replayed))
  }
}
