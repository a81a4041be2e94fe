/** The session port on Postgres: a row per session, by the server's clock. */
import type pg from 'pg'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { Sessions, SessionState } from '../../ports/session.ts'
import { ofRuntime } from './attribution.ts'
import { primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

const connectionsMax = 2
const lives = 'idle_until > clock_timestamp() AND ends_at > clock_timestamp()'
const texts = {
  begin: `INSERT INTO tenfold.session (key, subject, claims, idle, idle_until, ends_at)
    VALUES ($1, $2, $3, $4 * interval '1 ms', clock_timestamp() + $4 * interval '1 ms', clock_timestamp() + $5 * interval '1 ms')`,
  // What is read often must not be written as often: when a tenth of the idle time is over.
  use: `SELECT subject, claims, clock_timestamp() + idle - idle_until > idle / 10 AS is_old FROM tenfold.session WHERE key = $1 AND ${lives}`,
  touch: `UPDATE tenfold.session SET idle_until = clock_timestamp() + idle WHERE key = $1 AND ${lives}`,
  rotate: `UPDATE tenfold.session SET key = $2, claims = $3, idle_until = clock_timestamp() + idle WHERE key = $1 AND ${lives}`,
  end: 'DELETE FROM tenfold.session WHERE key = $1',
  endAll: `WITH ended AS (DELETE FROM tenfold.session WHERE subject = $1 RETURNING ${lives} AS lived) SELECT count(*) FILTER (WHERE lived)::int AS count FROM ended`,
  prune: `DELETE FROM tenfold.session WHERE NOT (${lives})`,
} as const

export function openPostgresSessions(options: { readonly url: string; readonly log: Logger }): Sessions {
  const pool = primaryPool({ connectionString: options.url, max: connectionsMax, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold' })
  pool.on('error', error => options.log.debug({ err: error }, 'an idle connection to Postgres broke'))
  const ask = <Row extends pg.QueryResultRow>(name: keyof typeof texts, ...values: readonly unknown[]): Promise<pg.QueryResult<Row>> =>
    pool.query<Row>({ name: `tenfold_session_${name}`, text: ofRuntime('session', texts[name]), values: [...values] }).catch((error: unknown) => { throw refusalOf(error) })
  let closing: Promise<void> | undefined
  return {
    async open() { await pool.query('SELECT 1').catch((error: unknown) => { throw refusalOf(error) }) },
    close: () => closing ??= pool.end(),
    async begin(key, { subject, claims }, { idleMs, absoluteMs }) { await ask('begin', key, subject, claims, idleMs, absoluteMs) },
    async use(key) {
      const { rows: [row] } = await ask<SessionState & { readonly is_old: boolean }>('use', key)
      if (!row) return null
      if (row.is_old) await ask('touch', key)
      return { subject: row.subject, claims: row.claims }
    },
    async rotate(key, newKey, claims) { return (await ask('rotate', key, newKey, claims)).rowCount === 1 },
    async end(key) { await ask('end', key) },
    async endAll(subject) { return (await ask<{ count: number }>('endAll', subject)).rows[0]!.count },
    async prune() { await ask('prune') },
  }
}
