/**
 * The only door to time. Everything else asks here, so that the simulator can own
 * the clock. `now` is wall time, for people and records; `monotonicMs` is for
 * measuring and never goes back.
 */
// The global of this name is a getter, which costs more than the clock.
import { performance } from 'node:perf_hooks'

export interface Clock {
  /** Milliseconds since 1970, wall clock. */
  now(): number
  /** Milliseconds from an arbitrary start, never going back; fractions allowed. */
  monotonicMs(): number
  /** Calls back once after delayMs. The returned function cancels. A timer does not keep the process alive when `background`. */
  after(delayMs: number, callback: () => void, background?: boolean): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, callback, background = false) {
    const timer = setTimeout(callback, delayMs)
    if (background) timer.unref()
    return () => clearTimeout(timer)
  },
}

let current: Clock = systemClock

/** Replaces the clock of this process; returns the function that puts the old one back. For the simulator. */
export function installClock(clock: Clock): () => void {
  const before = current
  current = clock
  return () => { current = before }
}

/** What to add to the monotonic clock for the time that has been agreed on, and when that was heard; null while nothing has been. */
let agreed: { readonly aheadMs: number; readonly heardAtMs: number } | null = null
/** What took longer to hear than the first is believed only where nothing better was heard for long. */
const promptMs = 50
const believedMs = 10_000

let isAlone = false

/** From now on this process goes by its own clock: for negative controls. */
export function goByOwnClock(): void {
  isAlone = true
  agreed = null
}

/** Notes what time it is by the clock that all processes of a deployment go by, as asked at this monotonic time. */
export function agreeOn(atMs: number, askedAtMs: number): void {
  if (isAlone) return
  const heardAtMs = current.monotonicMs()
  if (agreed && heardAtMs - askedAtMs > promptMs && heardAtMs - agreed.heardAtMs < believedMs) return
  agreed = { aheadMs: atMs - (askedAtMs + heardAtMs) / 2, heardAtMs }
}

/**
 * Wall time for what one process writes and another judges: by the clock of the database, as
 * last heard, and never by this machine's, which may be wrong or be set. Until it is heard, `now`.
 */
export const agreedNow = (): number => agreed === null ? current.now() : Math.round(agreed.aheadMs + current.monotonicMs())

export const now = (): number => current.now()
export const monotonicMs = (): number => current.monotonicMs()
export const after: Clock['after'] = (delayMs, callback, background) => current.after(delayMs, callback, background)

/** Resolves after delayMs, or at once (without an error) when the signal aborts. */
export function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal?.aborted) return resolve()
    const done = () => { cancel(); signal?.removeEventListener('abort', done); resolve() }
    const cancel = after(delayMs, done)
    signal?.addEventListener('abort', done, { once: true })
  })
}

/** Calls back again and again, periodMs after the last call ended, never overlapping. The returned function stops it. */
export function every(periodMs: number, callback: () => void | Promise<void>): () => void {
  let stopped = false
  let cancel = () => {}
  const next = () => {
    cancel = after(periodMs, async () => {
      await callback()
      if (!stopped) next()
    }, true)
  }
  next()
  return () => { stopped = true; cancel() }
}
