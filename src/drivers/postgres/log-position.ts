/**
 * Two orders of what was committed. A place in the outbox, (tx, seq), is the order of
 * delivery; a position of the write-ahead log (LSN) is what a session's token names. Each
 * row of the outbox has the LSN at which it was written, a little before its commit: a
 * token beyond it may have seen the row, one at or below it cannot.
 */
import type { Position } from '../../ports/database.ts'
import { ofRuntime } from './attribution.ts'

export interface OutboxPlace { readonly tx: string; readonly seq: string }

export const firstPlace: OutboxPlace = { tx: '0', seq: '0' }
/** Of the one database this driver speaks to. */
export const shard = 0
/** Beyond every LSN: for whoever has no token. */
export const lsnMax = 0xffff_ffff_ffff_ffffn

/** The LSN up to which everything is on disk. The insert position may point past a page header, where nothing lies yet. */
export const positionText = ofRuntime('position', `
  SELECT lsn::text, ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int AS timeline FROM pg_current_wal_flush_lsn() AS lsn`)

/** And what time it is at the primary: every process goes by that. */
export const timedPositionText = ofRuntime('position', `
  SELECT lsn::text, ('x' || substr(pg_walfile_name(lsn), 1, 8))::bit(32)::int AS timeline, extract(epoch FROM clock_timestamp())::float8 * 1000 AS at_ms
  FROM pg_current_wal_flush_lsn() AS lsn`)

export interface PositionRow { readonly lsn: string; readonly timeline: number }

export const toPosition = ({ lsn, timeline }: PositionRow): Position => ({ shard, timeline, lsn: parseLsn(lsn) })

export function parseLsn(text: string): bigint {
  const [high, low] = text.split('/') as [string, string]
  return BigInt(`0x${high}`) << 32n | BigInt(`0x${low}`)
}

export const formatLsn = (lsn: bigint): string => `${(lsn >> 32n).toString(16)}/${(lsn & 0xffff_ffffn).toString(16)}`

export function toPlace(text: string | null): OutboxPlace | null {
  const [tx, seq] = text?.split(' ') ?? []
  return tx && seq ? { tx, seq } : null
}

/** True when `one` is at or beyond `other`. */
export function reaches(one: OutboxPlace, other: OutboxPlace): boolean {
  const [a, b] = [BigInt(one.tx), BigInt(other.tx)]
  return a > b || (a === b && BigInt(one.seq) >= BigInt(other.seq))
}
