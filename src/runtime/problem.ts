/** How an error is answered over HTTP: by the application's own mapping, else as problem details (RFC 9457). */
import { errorTable, fault, isTenfoldError } from '../base/errors.ts'
import type { TenfoldError } from '../base/errors.ts'
import type { Application } from '../model/app.ts'
import type { HttpAnswer } from '../ports/ingress.ts'

export interface ErrorFacts {
  readonly requestId: string
  readonly allow?: readonly string[] | undefined
}

/** Any thrown value as an error of the table; what is not one is INTERNAL and shows nothing of itself. */
export function asTenfoldError(error: unknown): TenfoldError {
  return isTenfoldError(error) ? error : fault('INTERNAL', undefined, { cause: error })
}

export function errorAnswer(app: Application, error: TenfoldError, facts: ErrorFacts): HttpAnswer {
  const mapped = app.options.errors?.(error)
  const headers: Record<string, string> = {
    'content-type': mapped ? 'application/json; charset=utf-8' : 'application/problem+json; charset=utf-8',
    'cache-control': 'no-store',
    'x-request-id': facts.requestId,
  }
  if (error.status === 503 || error.status === 429) headers['retry-after'] = String(Math.ceil((error.retryAfterMs ?? 1_000) / 1_000))
  if (error.status === 401) headers['www-authenticate'] = 'Bearer'
  if (facts.allow) headers['allow'] = facts.allow.join(', ')
  return { status: mapped?.status ?? error.status, headers, body: JSON.stringify(mapped?.body ?? problemDetails(error, facts)) }
}

function problemDetails(error: TenfoldError, facts: ErrorFacts): Record<string, unknown> {
  const entry = errorTable[error.code]
  return {
    type: `urn:tenfold:error:${error.code.toLowerCase().replaceAll('_', '-')}`,
    title: entry.says,
    status: error.status,
    detail: error.message,
    instance: facts.requestId,
    ...(error.fields ? { errors: error.fields } : {}),
    ...(error.issues ? { issues: error.issues } : {}),
  }
}
