/** What Postgres refuses, in the words of the error table. Everything else stays as it is: a programming error. */
import { fault, isTenfoldError } from '../../base/errors.ts'

interface PostgresError extends Error { readonly code?: string; readonly hint?: string }

/** Lost or refused connections, and a server that starts or stops. */
const connectionCodes = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ENOENT', '57P01', '57P02', '57P03', '08000', '08003', '08006', '53300'])
/** A new transaction may pass: serialisation, dead lock, read-only, a bucket that has moved. */
const retryableCodes = new Set(['40001', '40P01', '25006', 'TF001'])
const inputCodes: Readonly<Record<string, string>> = {
  '22021': 'a text has a byte sequence that the database cannot store',
  '22P05': 'a text has a character that the database cannot store',
  '22P02': 'a value is not of the type of its column',
  '22003': 'a number is out of range',
  '22007': 'a date cannot be read',
  '54000': 'a value is too long for an index',
  '22008': 'a date is out of range',
  '22001': 'a text is too long for its column',
}

export function isConnectionLoss(error: unknown): boolean {
  const { code, message = '' } = error as PostgresError
  return (code !== undefined && connectionCodes.has(code)) || /^Connection terminated|connection timeout|timeout exceeded when trying to connect|not queryable|Client was closed/i.test(message)
}

export function refusalOf(error: unknown): unknown {
  if (isTenfoldError(error)) return error
  const { code = '', message, hint } = error as PostgresError
  if (isConnectionLoss(error)) return fault('UNAVAILABLE', `Postgres is not answering: ${message}`, { cause: error })
  if (retryableCodes.has(code)) return fault('UNAVAILABLE', `the transaction was refused and may be tried again: ${message}`, { cause: error })
  if (code === '55P03') return fault('UNAVAILABLE', 'a lock was not free in time', { cause: error })
  if (code === '57014' || code === '25P04' || code === '25P03') return fault('DEADLINE_EXCEEDED', 'a statement took longer than its limit', { cause: error })
  if (code === 'TF002') return new Error(`${message}. ${hint ?? ''}`, { cause: error })
  const input = inputCodes[code]
  if (input) return fault('INVALID_INPUT', input, { cause: error })
  return error
}
