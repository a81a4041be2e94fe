/** A clock that goes from one event to the next: a run of minutes takes as long as its work, and the same at every time. */
import { installClock } from '../../src/base/time.ts'

interface Timer { readonly dueMs: number; readonly callback: () => void; isCancelled: boolean }

/** Runs the work with simulated time until nothing is left to happen before `untilMs`. */
export async function withSimulatedClock<T>(untilMs: number, work: () => T): Promise<T> {
  let nowMs = 0
  const timers: Timer[] = []
  const restore = installClock({
    now: () => nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, callback) {
      const timer: Timer = { dueMs: nowMs + delayMs, callback, isCancelled: false }
      const at = timers.findLastIndex(one => one.dueMs <= timer.dueMs)
      timers.splice(at + 1, 0, timer)
      return () => { timer.isCancelled = true }
    },
  })
  try {
    const result = work()
    for (;;) {
      // Everything that has been promised by now happens at this moment.
      await new Promise(setImmediate)
      const next = timers.shift()
      if (!next || next.dueMs > untilMs) return result
      if (next.isCancelled) continue
      nowMs = next.dueMs
      next.callback()
    }
  } finally { restore() }
}
