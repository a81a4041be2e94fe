/**
 * Sessions of people who have signed in, kept on the server: an application says how long they
 * last, a command what becomes of its caller's. The client has a cookie that scripts cannot
 * read and other sites cannot send along with a write; the server keeps its hash.
 */
import type { Caller } from '../ports/transport.ts'

export interface SessionOptions {
  /** Ends one that has not been used for so long. */
  readonly idleMs: number
  /** Ends each, however much it is used. */
  readonly absoluteMs: number
}

/** What becomes of sessions when a command has committed; also when its answer is a remembered one. */
export interface SessionChange<Output, User> {
  /** Ends every session of this caller id. */
  endAll?(facts: SessionFacts<Output, User>): string
  /** Signs in: a new session of this caller, in place of the request's own. */
  begin?(facts: SessionFacts<Output, User>): Caller
  /** The request's session goes on under another id, as this caller: to be said whenever somebody may do more than before. */
  rotate?(facts: SessionFacts<Output, User>): Caller
  /** Signs out. */
  readonly end?: true
}

export interface SessionFacts<Output, User> { readonly output: Output; readonly user: User }

/** The cookie's name: browsers take it only from this very host, over TLS, for all paths. */
export const sessionCookie = '__Host-session'

const absoluteMsMax = 400 * 86_400_000

/** What is wrong with how long sessions last; empty when nothing is. */
export function sessionFaults({ idleMs, absoluteMs }: SessionOptions): string[] {
  const isTime = (value: number) => Number.isInteger(value) && value >= 1_000 && value <= absoluteMsMax
  if (!isTime(idleMs) || !isTime(absoluteMs)) return [`sessions last idleMs ${idleMs} and absoluteMs ${absoluteMs}; write milliseconds from 1000 to ${absoluteMsMax}`]
  return idleMs > absoluteMs ? [`sessions end after absoluteMs ${absoluteMs}, before idleMs ${idleMs} can be over; write an idleMs of at most that`] : []
}

/** What is wrong with a command's change; empty when nothing is. */
export function sessionChangeFaults(change: SessionChange<never, never>, app: { readonly hasSessions: boolean }, hasRoute: boolean): string[] {
  const faults: string[] = []
  if (!app.hasSessions) faults.push('changes sessions, and the application has none; add sessions: { idleMs: …, absoluteMs: … } to application()')
  if (!hasRoute) faults.push('changes sessions but has no route; a session comes with a request: add http, or take it out')
  if ([change.begin, change.rotate, change.end].filter(one => one !== undefined).length > 1) faults.push('does more than one of begin, rotate and end; choose one')
  if (change.endAll && change.rotate) faults.push('ends all sessions and rotates one; begin one instead')
  return faults
}
