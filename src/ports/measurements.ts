/**
 * The measurements port: what an engine tells of itself when it is asked, for metrics.
 *
 * Contract
 * - Only metrics of the table that are counted by engines, each with the labels of the table,
 *   and every number as it is when it is asked.
 * - A consumer is measured as soon as it has subscribed once, also when nothing waits for it:
 *   a zero is told, not left out. What an engine cannot tell is left out.
 * - `read` waits at most timeoutMs and then rejects with UNAVAILABLE, whatever the engine does;
 *   the next one finds an engine that has come back.
 * - `activity` tells every connection to the deployment's database that does something, or
 *   holds a transaction open, at this moment, with what it waits for; it is as punctual.
 * - To read changes nothing, and costs no more than one connection.
 */
import type { MetricReading } from '../base/metric-registry.ts'

/**
 * What a connection does: uses a processor; waits for a lock, for the log to be written, for
 * data from disk; pauses because it was told to; waits for its client within a transaction; or
 * for something else inside the engine.
 */
export type Doing = 'cpu' | 'lock' | 'log' | 'data' | 'pause' | 'client' | 'other'

export interface Activity {
  /** Null for a connection that is not a service's. */
  readonly service: string | null
  /** What the program at its other end calls itself. */
  readonly program: string
  /** Of the statement that runs or ran last; null without a mark. */
  readonly intent: string | null
  readonly doing: Doing
  /** Others wait for a lock that it holds, and it waits for none. */
  readonly holds: boolean
}

export interface Measurements {
  open(): Promise<void>
  close(): Promise<void>
  read(timeoutMs: number): Promise<readonly MetricReading[]>
  /** Of an engine that is the database. */
  activity?(timeoutMs: number): Promise<readonly Activity[]>
}
