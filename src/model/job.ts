/**
 * A job is work to be done later, once, with retries; it commits with the command that
 * enqueued it. A schedule is a job with a cron line: it fires once per slot and cluster.
 */
import type { HandlerContext } from './context.ts'
import type { Declared, Key, Parsed, Policy, Schema } from './intent.ts'

export interface JobDefinition<Tables, I extends Schema> extends Omit<Policy, 'slo'> {
  readonly input: I
  /** The key the job's transaction writes to; default: a key of its own, the job's id. */
  key?(input: Parsed<I>): Key
  /** Tries before the job is dead. Default limits.jobAttemptsMax. */
  readonly attemptsMax?: number
  /** Cron line (croner's syntax, UTC). Makes the job a schedule; its input is then `{}`. */
  readonly cron?: string
  /**
   * True: `run` has no transaction open, and may therefore take long or touch the outside
   * world; its effect there is at least once. Default false: one transaction, effect once.
   */
  readonly outside?: boolean
  run(context: HandlerContext<Tables>, input: Parsed<I>): Promise<void>
}

export interface Job<I = unknown> extends Declared<'job'> {
  readonly definition: AnyJobDefinition
  readonly $types?: { readonly input: I }
}

export interface AnyJobDefinition extends Omit<Policy, 'slo'> {
  readonly input: Schema
  key?(input: never): Key
  readonly attemptsMax?: number
  readonly cron?: string
  readonly outside?: boolean
  run(context: never, input: never): Promise<void>
}
