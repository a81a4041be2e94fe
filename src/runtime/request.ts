/** What the router reads from a request: the input of a call, and the headers that Tenfold knows. */
import { fault } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import { randomHex } from '../base/random.ts'
import type { HttpRequest, RequestHead } from '../ports/ingress.ts'

type Headers = RequestHead['headers']

/** Query and body side by side, the path's parameters above both; a body alone is not copied. */
export function inputOf({ body, query, parameters }: HttpRequest): Readonly<Record<string, unknown>> {
  const fields = typeof body === 'object' && body !== null && !Array.isArray(body) ? body as Record<string, unknown> : null
  if (!isEmpty(query)) return { ...query, ...fields, ...parameters }
  return fields && isEmpty(parameters) ? fields : { ...fields, ...parameters }
}

function isEmpty(object: object): boolean {
  for (const _ in object) return false
  return true
}

export const one = (value: string | string[] | undefined): string | undefined => Array.isArray(value) ? value[0] : value

/** Where a request comes from: behind trusted proxies what the outermost of them wrote down. */
export function addressOf({ headers, remoteAddress }: Pick<RequestHead, 'headers' | 'remoteAddress'>, proxies: number): string {
  if (proxies === 0) return remoteAddress
  const given = headers['x-forwarded-for']
  const hops = (Array.isArray(given) ? given.join() : given ?? '').split(',').map(hop => hop.trim()).filter(hop => hop !== '')
  return hops.at(-proxies) ?? remoteAddress
}

export function requestIdOf(headers: Headers): string {
  const given = one(headers['x-request-id'])
  return given && /^[\w.:-]{1,128}$/.test(given) ? given : randomHex(8)
}

export function timeoutOf(headers: Headers, standardMs: number): number {
  const given = headers['tenfold-timeout-ms']
  if (given === undefined) return standardMs
  const asked = Number(one(given))
  return asked > 0 ? Math.min(asked, standardMs) : standardMs
}

export function tokenOf(headers: Headers): string | undefined {
  return one(headers['tenfold-token']) || tokenOfCookie(headers)
}

export function tokenOfCookie(headers: Headers): string | undefined {
  const cookie = one(headers['cookie'])
  return cookie?.includes('tenfold_token=') ? /(?:^|;\s*)tenfold_token=([\w.-]+)/.exec(cookie)?.[1] : undefined
}

export function idempotencyKeyOf(headers: Headers): string | undefined {
  const key = one(headers['idempotency-key'])
  if (key === undefined || key === '') return undefined
  if (key.length > limits.idempotencyKeyCharactersMax || !/^[\x21-\x7e]+$/.test(key)) {
    throw fault('BAD_REQUEST', `Idempotency-Key must be 1 to ${limits.idempotencyKeyCharactersMax} visible ASCII characters`)
  }
  return key
}
