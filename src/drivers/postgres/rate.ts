/** The rate port on Postgres: one row per name, by the server's clock, so that all processes count together. */
import { allowanceOf } from '../../base/allowance.ts'
import { limits } from '../../base/limits.ts'
import type { Logger } from '../../base/log.ts'
import type { Rates } from '../../ports/rate.ts'
import { ofRuntime } from './attribution.ts'
import { primaryPool } from './primary-client.ts'
import { refusalOf } from './refusal.ts'

const connectionsMax = 2
const milliseconds = (interval: string) => `extract(epoch FROM ${interval})::float8 * 1000`
/** The row's lock makes those of the same name wait for each other. */
const takeText = ofRuntime('rate', `
  INSERT INTO tenfold.rate AS bucket (name, full_at) VALUES ($1, clock_timestamp() + $2 * interval '1 ms')
  ON CONFLICT (name) DO UPDATE SET full_at = greatest(bucket.full_at, clock_timestamp()) + $2 * interval '1 ms'
    WHERE greatest(bucket.full_at, clock_timestamp()) + $2 * interval '1 ms' <= clock_timestamp() + $3 * interval '1 ms'
  RETURNING ${milliseconds('full_at - clock_timestamp()')} AS full_ms`)
const lookText = ofRuntime('rate', `SELECT ${milliseconds('full_at - clock_timestamp()')} AS full_ms FROM tenfold.rate WHERE name = $1`)
const pruneText = ofRuntime('rate', 'DELETE FROM tenfold.rate WHERE full_at < clock_timestamp()')

export function openPostgresRates(options: { readonly url: string; readonly log: Logger }): Rates {
  const pool = primaryPool({ connectionString: options.url, max: connectionsMax, connectionTimeoutMillis: limits.connectTimeoutMs, application_name: 'tenfold' })
  pool.on('error', error => options.log.debug({ err: error }, 'an idle connection to Postgres broke'))
  const ask = async (name: string, text: string, values: readonly unknown[]): Promise<number | null> => {
    const { rows } = await pool.query<{ full_ms: number }>({ name, text, values: [...values] }).catch((error: unknown) => { throw refusalOf(error) })
    return rows[0]?.full_ms ?? null
  }
  let closing: Promise<void> | undefined
  return {
    async open() { await pool.query('SELECT 1').catch((error: unknown) => { throw refusalOf(error) }) },
    close: () => closing ??= pool.end(),
    async take(name, policy) {
      const { limit, windowMs } = policy
      const taken = await ask('tenfold_rate_take', takeText, [name, windowMs / limit, windowMs])
      if (taken !== null) return allowanceOf(true, taken, policy)
      return allowanceOf(false, await ask('tenfold_rate_look', lookText, [name]) ?? 0, policy)
    },
    async prune() { await pool.query(pruneText).catch((error: unknown) => { throw refusalOf(error) }) },
  }
}
