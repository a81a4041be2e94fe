/** How the output of a call is answered over HTTP; refusals are in problem.ts. */
import { limits } from '../base/limits.ts'
import type { HttpAnswer } from '../ports/ingress.ts'
import type { Target } from './target.ts'

const cookieAttributes = `Max-Age=${limits.tokenLifeMs / 1000}; Path=/; HttpOnly; SameSite=Lax`

export function success({ status, isCommand }: Target, output: unknown, token: string | undefined, requestId: string): HttpAnswer {
  const isEmpty = status === 204 || output === undefined
  const headers: Record<string, string> = isEmpty ? { 'x-request-id': requestId }
    : { 'content-type': 'application/json; charset=utf-8', 'x-request-id': requestId }
  if (token) {
    headers['tenfold-token'] = token
    if (isCommand) headers['set-cookie'] = `tenfold_token=${token}; ${cookieAttributes}`
  }
  return { status, headers, body: isEmpty ? null : JSON.stringify(output) }
}
