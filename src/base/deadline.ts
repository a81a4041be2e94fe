/**
 * Deadlines. Checking is free and happens before every statement; for work that hangs
 * elsewhere one shared sweep rejects what has run out, instead of a timer for each call.
 */
import { fault } from './errors.ts'
import { after, monotonicMs } from './time.ts'

const sweepMs = 50
/** One deadline may have several under way: what waits for an answer, and within it a read that others share. */
interface Race { readonly deadline: Deadline; readonly fail: (error: unknown) => void }
const running = new Set<Race>()
let sweeping = false

function sweep(): void {
  sweeping = running.size > 0
  if (!sweeping) return
  const atMs = monotonicMs()
  for (const { deadline, fail } of running) {
    if (deadline.atMonotonicMs > atMs) continue
    deadline.expire()
    fail(fault('DEADLINE_EXCEEDED'))
  }
  after(sweepMs, sweep, true)
}

/** Told of one outcome: a promise of its own would cost as much as all that it measures. */
export interface Observer<T> {
  succeeded(value: T): void
  failed(error: unknown): void
}

export class Deadline {
  readonly atMonotonicMs: number
  #controller: AbortController | undefined

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

  /** The outcome of the work, or DEADLINE_EXCEEDED when that comes first; the observer is told of it before anybody else. */
  race<T>(work: Promise<T>, observer: Observer<T> | null = null): Promise<T> {
    if (!sweeping) { sweeping = true; after(sweepMs, sweep, true) }
    return new Promise<T>((resolve, reject) => {
      // What is no longer running is over: a later outcome is nobody's.
      const race: Race = {
        deadline: this,
        fail: error => {
          if (!running.delete(race)) return
          observer?.failed(error)
          reject(error)
        },
      }
      running.add(race)
      work.then(value => {
        if (!running.delete(race)) return
        observer?.succeeded(value)
        resolve(value)
      }, race.fail)
    })
  }

  expire(): void { this.#controller?.abort() }
}
