/** Who calls: `Authorization: Token <jwt>`. */
import { fault } from 'tenfold'
import type { Caller, RequestFacts } from 'tenfold'
import { tokens } from './config.ts'

export async function authenticate({ headers }: RequestFacts): Promise<Caller | null> {
  const header = headers['authorization']
  if (typeof header !== 'string' || header === '') return null
  const token = /^(?:Token|Bearer) +(\S+)$/i.exec(header)?.[1]
  const invalid = { fields: { token: ['is invalid'] } }
  if (!token) throw fault('UNAUTHENTICATED', 'write the header as "Authorization: Token <jwt>"', invalid)
  const { subject } = await tokens().verify(token).catch((error: Error) => { throw fault('UNAUTHENTICATED', error.message, invalid) })
  return { id: subject }
}
