/** What the connections of a Postgres do at one moment: its wait events, in the words of the measurements port. */
import type pg from 'pg'
import type { Activity, Doing } from '../../ports/measurements.ts'
import { activityText } from './measurement-texts.ts'

interface ActivityRow {
  readonly program: string
  readonly state: string
  readonly kind: string | null
  readonly event: string | null
  readonly intent: string | null
  readonly service: string | null
  readonly holds: boolean
}

/** Events of writing and flushing the write-ahead log, and of waiting for a standby to have it. */
const logEvents = /^(WAL|Wal|SyncRep)/

export async function activityOf(client: pg.Client): Promise<Activity[]> {
  const { rows } = await client.query<ActivityRow>({ name: 'tenfold_activity', text: activityText })
  return rows.map(({ program, service, intent, holds, ...row }) => ({ service, program, intent: intent === null ? null : decodeURIComponent(intent), doing: doingOf(row), holds }))
}

/** Exported for tests. */
export function doingOf({ state, kind, event }: Pick<ActivityRow, 'state' | 'kind' | 'event'>): Doing {
  if (state.startsWith('idle in transaction') || kind === 'Client') return 'client'
  if (kind === null) return 'cpu'
  if (kind === 'Lock') return 'lock'
  if (logEvents.test(event ?? '')) return 'log'
  if (kind === 'IO') return 'data'
  return kind === 'Timeout' ? 'pause' : 'other'
}
