/**
 * Where the time of one request went, from its trace: waiting for a connection, for
 * statements, for COMMIT, for read models, for caches; what is left is its own, on the event
 * loop or waiting for what Tenfold does not see. The parts add up to the whole: what
 * overlaps counts for what began first.
 */
import type { Place } from '../base/place.ts'
import type { Span, Trace } from './span.ts'

/** Tells the parts of a trace that has ended, in milliseconds, a place perhaps more than once. Spans stand in the order in which they began. */
export function divideTime({ root, spans }: Trace, add: (place: Place, ms: number) => void): void {
  let untilMs = root.startMs
  let waitedMs = 0
  for (const span of spans) {
    const place = placeOf(span)
    if (place === null) continue
    const endMs = Math.min(root.endMs, endOf(span, root.endMs))
    if (endMs <= untilMs) continue
    const partMs = endMs - Math.max(untilMs, span.startMs)
    add(place, partMs)
    waitedMs += partMs
    untilMs = endMs
  }
  add('own', Math.max(0, root.endMs - root.startMs - waitedMs))
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
