/** What is to happen when: a heap of moments over one ticker. What is late happens at once, in order. */
import { monotonicMs } from '../base/time.ts'
import type { Ticker } from './metronome.ts'

interface Entry { readonly dueMs: number; readonly run: () => void }

export class Agenda {
  readonly #ticker: Ticker
  readonly #heap: Entry[] = []
  #armedForMs = Infinity

  constructor(ticker: Ticker) {
    this.#ticker = ticker
  }

  /** `dueMs` is of the monotonic clock. */
  at(dueMs: number, run: () => void): void {
    this.#push({ dueMs, run })
    this.#arm()
  }

  until(dueMs: number): Promise<void> {
    return new Promise(resolve => this.at(dueMs, resolve))
  }

  close(): void {
    this.#heap.length = 0
    this.#ticker.close()
  }

  #arm(): void {
    const first = this.#heap[0]
    if (!first || first.dueMs >= this.#armedForMs) return
    this.#armedForMs = first.dueMs
    this.#ticker.arm(Math.max(0, first.dueMs - monotonicMs()), () => this.#fire())
  }

  #fire(): void {
    // What is added meanwhile waits: else one that is always late would let nothing else run.
    const nowMs = monotonicMs()
    this.#armedForMs = -Infinity
    while (this.#heap.length > 0 && this.#heap[0]!.dueMs <= nowMs) this.#pop().run()
    this.#armedForMs = Infinity
    this.#arm()
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    for (let parent = (at - 1) >> 1; at > 0 && heap[parent]!.dueMs > entry.dueMs; parent = (at - 1) >> 1) {
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = entry
  }

  #pop(): Entry {
    const heap = this.#heap
    const first = heap[0]!
    const last = heap.pop()!
    if (heap.length === 0) return first
    let at = 0
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && heap[child + 1]!.dueMs < heap[child]!.dueMs) child++
      if (heap[child]!.dueMs >= last.dueMs) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}
