/**
 * The lease port on Postgres: a session advisory lock says who holds a name, and dies with
 * the holder's connection; a counter row gives each grant its fencing token.
 */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import { every } from '../../base/time.ts'
import type { Lease, Leases } from '../../ports/lease.ts'
import { ofRuntime } from './attribution.ts'
import { PrimaryClient, primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

const lockText = ofRuntime('lease', `SELECT pg_try_advisory_lock(hashtextextended('tenfold lease ' || $1, 0)) AS held`)
const unlockText = ofRuntime('lease', `SELECT pg_advisory_unlock(hashtextextended('tenfold lease ' || $1, 0))`)
const grantText = ofRuntime('lease', `
  INSERT INTO tenfold.lease (name, token, holder) VALUES ($1, 1, $2)
  ON CONFLICT (name) DO UPDATE SET token = tenfold.lease.token + 1, holder = excluded.holder, released = false, granted_at = now()
  RETURNING token::text`)
const releaseText = ofRuntime('lease', 'UPDATE tenfold.lease SET released = true WHERE name = $1 AND token = $2')
const currentText = ofRuntime('lease', 'SELECT 1 FROM tenfold.lease WHERE name = $1 AND token = $2 AND NOT released')

export function openPostgresLeases(options: { readonly url: string; readonly log: Logger }): Leases {
  const pool = primaryPool({ connectionString: options.url, max: 2, connectionTimeoutMillis: limits.connectTimeoutMs })
  pool.on('error', () => {})
  const held = new Set<Lease>()
  let closed = false
  return {
    async open() { await pool.query('SELECT 1').catch((error: unknown) => { throw refusalOf(error) }) },
    async close() {
      if (closed) return
      closed = true
      await Promise.all([...held].map(lease => lease.release()))
      await pool.end()
    },
    async acquire(name, ttlMs) {
      if (closed) throw fault('UNAVAILABLE', 'the leases are closed')
      const lease = await acquire(options.url, name, ttlMs)
      if (!lease) return null
      if (closed) {
        await lease.release()
        throw fault('UNAVAILABLE', 'the leases are closed')
      }
      held.add(lease)
      lease.lost.addEventListener('abort', () => held.delete(lease))
      return lease
    },
    async current(name, token) {
      const { rowCount } = await pool.query(currentText, [name, token.toString()]).catch((error: unknown) => { throw refusalOf(error) })
      return rowCount === 1
    },
  }
}

async function acquire(url: string, name: string, ttlMs: number): Promise<Lease | null> {
  const client = new PrimaryClient({ connectionString: url, connectionTimeoutMillis: limits.connectTimeoutMs, query_timeout: ttlMs / 2, keepAlive: true })
  const lost = new AbortController()
  client.on('error', () => lost.abort())
  client.on('end', () => lost.abort())
  try {
    await client.connect()
    const { rows } = await client.query<{ held: boolean }>(lockText, [name])
    if (!rows[0]!.held) {
      await client.end()
      return null
    }
    const granted = await client.query<{ token: string }>(grantText, [name, `${process.pid}`])
    return holding(client, name, BigInt(granted.rows[0]!.token), ttlMs, lost)
  } catch (error) {
    await client.end().catch(() => {})
    throw refusalOf(error)
  }
}

function holding(client: pg.Client, name: string, token: bigint, ttlMs: number, lost: AbortController): Lease {
  // A half-open connection shows only when it is used: ask a few times within each ttl.
  const stopRenewing = every(ttlMs / 4, async () => {
    await client.query('SELECT 1').catch(() => lost.abort())
  })
  lost.signal.addEventListener('abort', () => {
    stopRenewing()
    void client.end().catch(() => {})
  }, { once: true })
  let releasing: Promise<void> | undefined
  const release = async () => {
    if (lost.signal.aborted) return
    await client.query(releaseText, [name, token.toString()]).catch(() => {})
    await client.query(unlockText, [name]).catch(() => {})
    lost.abort()
  }
  return { name, token, lost: lost.signal, release: () => releasing ??= release() }
}
