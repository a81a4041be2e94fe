/**
 * The one table of error codes. Every refusal that Tenfold or an application makes
 * has a code from here; the code decides the HTTP status and whether trying again
 * can help. docs/errors.md is compared with this table by a test.
 */

export interface ErrorEntry {
  /** HTTP status the code is answered with. */
  readonly status: number
  /** True when the same call, made again a little later, may succeed. */
  readonly retryable: boolean
  /** What happened, for people. */
  readonly says: string
  /** What to do about it. */
  readonly help: string
}

export const errorTable = {
  BAD_REQUEST: { status: 400, retryable: false, says: 'The request could not be read.', help: 'Send well-formed JSON with the right Content-Type.' },
  INVALID_INPUT: { status: 422, retryable: false, says: 'The input does not fit the schema.', help: 'See `issues` for each field.' },
  UNAUTHENTICATED: { status: 401, retryable: false, says: 'The call needs a caller.', help: 'Send a valid Authorization header.' },
  FORBIDDEN: { status: 403, retryable: false, says: 'The caller may not do this.', help: 'Use an account that owns the thing.' },
  NOT_FOUND: { status: 404, retryable: false, says: 'There is no such thing.', help: 'Check the address.' },
  METHOD_NOT_ALLOWED: { status: 405, retryable: false, says: 'The path exists, the method does not.', help: 'See the Allow header.' },
  CONFLICT: { status: 409, retryable: false, says: 'The value is taken or the state does not allow it.', help: 'Choose another value or read the state again.' },
  PAYLOAD_TOO_LARGE: { status: 413, retryable: false, says: 'The body is larger than the limit.', help: 'Send less, or raise the intent\'s body limit.' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, retryable: false, says: 'The body is of a type that is not taken here.', help: 'Send application/json, or for an upload one of the types that the message names.' },
  IDEMPOTENCY_MISMATCH: { status: 422, retryable: false, says: 'The idempotency key was used with another input.', help: 'Use a new key for a new request.' },
  IDEMPOTENCY_IN_FLIGHT: { status: 409, retryable: true, says: 'A call with this idempotency key is still running.', help: 'Try again after a moment.' },
  RATE_LIMITED: { status: 429, retryable: true, says: 'More calls than the intent takes from one caller, address, or everybody together.', help: 'Wait for Retry-After; RateLimit says what is left.' },
  OVERLOADED: { status: 503, retryable: true, says: 'The process has more work than it can finish in time.', help: 'Try again after Retry-After.' },
  DRAINING: { status: 503, retryable: true, says: 'The process is shutting down.', help: 'Try again: another process answers.' },
  UNAVAILABLE: { status: 503, retryable: true, says: 'An engine this call needs is not answering.', help: 'Try again; see the log for the engine.' },
  OUTCOME_UNKNOWN: { status: 503, retryable: false, says: 'The connection was lost while the transaction committed.', help: 'Send writes with an Idempotency-Key, then a retry is safe.' },
  PROJECTION_BEHIND: { status: 503, retryable: true, says: 'A read model has not yet reached what this session has seen.', help: 'Try again; see `tenfold doctor` for the lag.' },
  DEADLINE_EXCEEDED: { status: 504, retryable: true, says: 'The call did not finish before its deadline.', help: 'Raise deadlineMs, or find what is slow.' },
  INTERNAL: { status: 500, retryable: false, says: 'A fault in the program.', help: 'The log has the stack under the request id.' },
  NOT_SUPPORTED: { status: 501, retryable: false, says: 'The driver does not have this capability.', help: 'Choose a driver that declares it: docs/drivers.md.' },
  LEASE_LOST: { status: 503, retryable: true, says: 'The lease is held by someone else now.', help: 'Acquire it again before writing.' },
  DECLARATION_FAULT: { status: 500, retryable: false, says: 'The application is declared wrongly.', help: 'Run `tenfold check`.' },
  TOPOLOGY_REFUSED: { status: 500, retryable: false, says: 'The topology cannot keep an invariant.', help: 'See the mend in the message.' },
  MIGRATION_FAULT: { status: 500, retryable: false, says: 'A migration does not fit the database.', help: 'Never edit a migration that has run: add a new one.' },
  DATA_FOLDER_IN_USE: { status: 500, retryable: false, says: 'Another deployment runs on this data folder.', help: 'Stop it, or choose another TENFOLD_DATA.' },
  ENGINE_MISSING: { status: 500, retryable: false, says: 'An engine\'s program is not installed.', help: 'Install what the message names.' },
  USAGE: { status: 500, retryable: false, says: 'The command line is not understood.', help: 'Run `tenfold --help`.' },
} as const satisfies Record<string, ErrorEntry>

export type ErrorCode = keyof typeof errorTable

/** One fault in an input, with the path to the value. */
export interface Issue {
  readonly path: readonly (string | number)[]
  readonly message: string
}

export interface ErrorDetails {
  /** For applications: what is wrong, by field, as `errors` of the body. */
  readonly fields?: Readonly<Record<string, readonly string[]>>
  readonly issues?: readonly Issue[]
  readonly retryAfterMs?: number
  readonly cause?: unknown
}

const brand = Symbol.for('tenfold.error')

/** An operating fault with a code of the table. Programming errors are ordinary `Error`s and crash loudly. */
export class TenfoldError extends Error {
  readonly code: ErrorCode
  readonly fields: Readonly<Record<string, readonly string[]>> | undefined
  readonly issues: readonly Issue[] | undefined
  readonly retryAfterMs: number | undefined
  readonly [brand] = true

  constructor(code: ErrorCode, message?: string, details: ErrorDetails = {}) {
    super(message ?? errorTable[code].says, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'TenfoldError'
    this.code = code
    this.fields = details.fields
    this.issues = details.issues
    this.retryAfterMs = details.retryAfterMs
  }

  get status(): number { return errorTable[this.code].status }
  get retryable(): boolean { return errorTable[this.code].retryable }
}

/** Recognises a TenfoldError also when it was made by another copy of the package. */
export function isTenfoldError(value: unknown): value is TenfoldError {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[brand] === true
}

/** Makes an error of the table: `throw fault('NOT_FOUND', 'article how-to not found')`. */
export function fault(code: ErrorCode, message?: string, details?: ErrorDetails): TenfoldError {
  return new TenfoldError(code, message, details)
}
