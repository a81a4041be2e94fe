/**
 * The transport port: a call from one service to an intent of another.
 *
 * Contract
 * - The input and the answer are JSON values; the callee sees an equal value, never the same object it could change for the caller.
 *   An answer may be a JsonText, which arrives as such or as the value it says.
 * - The same holds for the caller in the metadata. An input that JSON cannot carry is INVALID_INPUT.
 * - A refusal of the callee arrives as a TenfoldError with the same code, message, fields, issues and retryAfterMs.
 * - Anything else that the callee throws, and an output that JSON cannot carry, arrives as INTERNAL:
 *   the message shows nothing of it, the cause is kept for the log.
 * - Deadline, trace, caller and idempotency key travel with the call. A call whose deadline
 *   has passed is not delivered: DEADLINE_EXCEEDED.
 * - A transport may deliver a call twice only when it is `repeatable`; the repeats share its time.
 */

export interface CallMetadata {
  /** How long the callee has, in milliseconds; relative, so that clocks may differ. */
  readonly timeoutMs: number
  readonly traceparent: string
  readonly requestId: string
  readonly caller: Caller | null
  /** The consistency token of the session. */
  readonly token?: string | undefined
  readonly idempotencyKey?: string | undefined
  /** How many calls led here; a cycle ends at limits.callDepthMax. */
  readonly depth: number
  readonly priority: Priority
  /** Somebody outside waits, and can ask again: rather refused than late. Jobs, events and seeds wait instead. */
  readonly mayBeRefused?: boolean | undefined
  /** The server that the caller reads from: what it calls reads there too, or at the primary. Undefined: the caller has read nothing. */
  readonly readsAt?: string | undefined
}

export type Priority = 'critical' | 'normal' | 'low'

/** Who calls: made by the application's `authenticate`. */
export interface Caller {
  readonly id: string
  readonly [claim: string]: unknown
}

export interface Call {
  /** `<service>.<intent>`. */
  readonly intent: string
  readonly input: unknown
  readonly metadata: CallMetadata
  /** True for queries and for commands with an idempotency key. */
  readonly repeatable: boolean
}

export interface Answer {
  readonly output: unknown
  /** The merged consistency token, when the callee wrote. */
  readonly token?: string | undefined
}

export type Receiver = (call: Call) => Promise<Answer>

export interface Transport {
  open(): Promise<void>
  close(): Promise<void>
  /** Registers who answers the calls to the named services. */
  serve(services: readonly string[], receiver: Receiver): void
  call(call: Call): Promise<Answer>
}
