/**
 * How the output of a call is answered over HTTP; refusals are in problem.ts.
 *
 * Caching (RFC 9111, RFC 9213): only an answer to nobody in particular, that its query says is
 * public, may be kept by a CDN, and only where Tenfold can purge it. Browsers always ask again,
 * with the entity tag: what they keep, nobody can make them forget.
 */
import { cacheTagHeader } from '../base/cache-tag.ts'
import { jsonOf } from '../base/json-text.ts'
import { limits } from '../base/limits.ts'
import { agreedNow } from '../base/time.ts'
import { missingMsDefault } from '../model/freshness.ts'
import type { HttpAnswer, RequestHead } from '../ports/ingress.ts'
import type { Kept } from './query-cache.ts'
import { one, tokenOfCookie } from './request.ts'
import type { Target } from './target.ts'
import { wroteAtMsOf } from './token.ts'

export interface AnswerFacts {
  readonly requestId: string
  /** The session's token, when it has one. */
  readonly token: string | undefined
  readonly headers: RequestHead['headers']
}

/** What was read or written for this call alone. */
export function success({ status, isCommand }: Target, output: unknown, facts: AnswerFacts): HttpAnswer {
  const isEmpty = status === 204 || output === undefined
  const headers: Record<string, string> = { 'x-request-id': facts.requestId, 'cache-control': 'no-store' }
  if (!isEmpty) headers['content-type'] = 'application/json; charset=utf-8'
  addToken(headers, isCommand, facts)
  return { status, headers, body: isEmpty ? null : jsonOf(output)! }
}

/** A kept answer; 304 when the client has it already. */
export function keptAnswer({ status, caching }: Target, kept: Kept, isPublic: boolean, facts: AnswerFacts): HttpAnswer {
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8', 'x-request-id': facts.requestId,
    ...isPublic ? publicHeaders(caching, kept) : { 'cache-control': 'private, no-cache', vary: caching.vary, etag: kept.note.etag },
  }
  addToken(headers, false, facts)
  const isKnown = matches(facts.headers['if-none-match'], kept.note.etag)
  return isKnown ? { status: 304, headers, body: null } : { status, headers, body: kept.value }
}

const made = new WeakMap<Kept, Record<string, string>>()

/** Worked out once for each kept answer. */
export function publicHeaders({ vary, freshness, hasCdn }: Target['caching'], kept: Kept): Readonly<Record<string, string>> {
  let headers = made.get(kept)
  if (headers) return headers
  const { etag, tags, refusal } = kept.note
  const freshMs = refusal ? Math.min(freshness!.freshMs, freshness!.missingMs ?? missingMsDefault) : freshness!.freshMs
  const staleSeconds = refusal ? 0 : Math.floor((freshness!.staleMs ?? 0) / 1_000)
  headers = { etag, vary, 'cache-control': 'public, no-cache' }
  const cacheTags = hasCdn ? cacheTagHeader(tags) : null
  if (cacheTags !== null) {
    headers['cdn-cache-control'] = `public, max-age=${Math.floor(freshMs / 1_000)}${staleSeconds > 0 ? `, stale-while-revalidate=${staleSeconds}` : ''}`
    headers['cache-tag'] = cacheTags
  }
  made.set(kept, headers)
  return headers
}

/** Weak comparison of If-None-Match (RFC 9110 §13.1.2). */
export function matches(given: string | string[] | undefined, etag: string): boolean {
  if (given === undefined) return false
  return (one(given) ?? '').split(',').some(text => text.trim() === '*' || text.trim().replace(/^W\//, '') === etag)
}

function addToken(headers: Record<string, string>, isCommand: boolean, { token, headers: given }: AnswerFacts): void {
  if (!token) return
  headers['tenfold-token'] = token
  if (isCommand) headers['set-cookie'] = cookieOf(token, limits.tokenLifeMs)
  else if (given['cookie'] && tokenOfCookie(given) !== undefined && tokenOfCookie(given) !== token) {
    // A read moves the token on, not its end: 10 s after the last write.
    headers['set-cookie'] = cookieOf(token, wroteAtMsOf(token) + limits.tokenLifeMs - agreedNow())
  }
}

const cookieOf = (token: string, lifeMs: number): string => `tenfold_token=${token}; Max-Age=${Math.max(1, Math.ceil(lifeMs / 1_000))}; Path=/; HttpOnly; SameSite=Lax`
