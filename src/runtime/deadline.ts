/**
 * Deadlines. Checking is free and happens before every statement; for work that hangs
 * elsewhere one shared sweep rejects what has run out, instead of a timer for each call.
 */
import { fault } from '../base/errors.ts'
import { after, monotonicMs } from '../base/time.ts'

const sweepMs = 50
const running = new Set<Deadline>()
let sweeping = false

function sweep(): void {
  sweeping = running.size > 0
  if (!sweeping) return
  const atMs = monotonicMs()
  for (const deadline of running) if (deadline.atMonotonicMs <= atMs) deadline.expire()
  after(sweepMs, sweep, true)
}

export class Deadline {
  readonly atMonotonicMs: number
  #controller: AbortController | undefined
  #reject: ((error: unknown) => void) | undefined

  constructor(timeoutMs: number) {
    this.atMonotonicMs = monotonicMs() + timeoutMs
  }

  remainingMs(): number { return this.atMonotonicMs - monotonicMs() }

  /** Throws DEADLINE_EXCEEDED when there is no time left to start anything. */
  check(): void {
    if (this.remainingMs() <= 0) throw fault('DEADLINE_EXCEEDED')
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.remainingMs() <= 0) this.#controller.abort()
    return this.#controller.signal
  }

  /** The outcome of the work, or DEADLINE_EXCEEDED when that comes first. */
  race<T>(work: Promise<T>): Promise<T> {
    running.add(this)
    if (!sweeping) { sweeping = true; after(sweepMs, sweep, true) }
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject
      work.then(value => { running.delete(this); resolve(value) }, (error: unknown) => { running.delete(this); reject(error) })
    })
  }

  expire(): void {
    running.delete(this)
    this.#controller?.abort()
    this.#reject?.(fault('DEADLINE_EXCEEDED'))
  }
}
