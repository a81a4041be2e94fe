/** RealWorld's wording of errors: always `{"errors": {key: [message]}}`. */
import type { ErrorAnswer, TenfoldError } from 'tenfold'

export function errors(error: TenfoldError): ErrorAnswer {
  return { status: error.status, body: { errors: fieldsOf(error) } }
}

function fieldsOf(error: TenfoldError): Readonly<Record<string, readonly string[]>> {
  if (error.fields) return error.fields
  if (error.code === 'UNAUTHENTICATED') return { token: ['is missing'] }
  if (!error.issues) return { [error.code.toLowerCase()]: [error.message] }
  const fields: Record<string, string[]> = Object.create(null) as Record<string, string[]>
  for (const { path, message } of error.issues) {
    // `user.email` is about the email; an element of a list is about the list.
    const field = String(path.filter(step => typeof step === 'string').at(-1) ?? 'body')
    ;(fields[field] ??= []).push(message)
  }
  return fields
}
