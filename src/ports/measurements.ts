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
 * - To read changes nothing, and costs no more than one connection.
 */
import type { MetricReading } from '../base/metric-registry.ts'

export interface Measurements {
  open(): Promise<void>
  close(): Promise<void>
  read(timeoutMs: number): Promise<readonly MetricReading[]>
}
