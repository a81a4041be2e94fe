/**
 * Where the time of one request went, from its trace: waiting for a connection, for
 * statements, for COMMIT, for read models, for caches; what is left is its own, on the event
 * loop or waiting for what Tenfold does not see. The parts add up to the whole: what
 * overlaps counts for what began first.
 */
import type { Place } from '../base/place.ts'
import type { Span, Trace } from './span.ts'

/** Milliseconds by place. */
export type Residence = Record<Place, number>

/** Of a trace that has ended. Spans stand in the order in which they began. */
export function residenceOf({ root, spans }: Trace): Residence {
  const found: Residence = { own: 0, pool: 0, statement: 0, commit: 0, 'read-models': 0, broadcast: 0, cache: 0 }
  let untilMs = root.startMs
  let waitedMs = 0
  for (const span of spans) {
    const place = placeOf(span)
    if (place === null) continue
    const endMs = Math.min(root.endMs, endOf(span, root.endMs))
    if (endMs <= untilMs) continue
    const partMs = endMs - Math.max(untilMs, span.startMs)
    found[place] += partMs
    waitedMs += partMs
    untilMs = endMs
  }
  found.own = Math.max(0, root.endMs - root.startMs - waitedMs)
  return found
}

function placeOf({ what, cache }: Span): Place | null {
  switch (what) {
    // Its statements are spans of their own: here it is the wait for a connection.
    case 'transaction': return 'pool'
    case 'statement': case 'claim': case 'memory': case 'inbox': case 'position': return 'statement'
    case 'commit': return 'commit'
    case 'await': return 'read-models'
    case 'invalidate': return 'broadcast'
    // Another one reads; a miss reads itself.
    case 'cache': return cache === 'wait' ? 'cache' : null
    default: return null
  }
}

function endOf({ what, count, startMs, endMs }: Span, rootEndMs: number): number {
  // The count of a transaction is how long its connection took; one that never got it waited all the time.
  if (what === 'transaction' && count >= 0) return startMs + count
  return Number.isNaN(endMs) ? rootEndMs : endMs
}
