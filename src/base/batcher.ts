/**
 * Collects what comes while one send is running, or has begun less than a gap ago, into the next
 * one. A call resolves when a send that began after it, and holds its items, has succeeded.
 */
import { monotonicMs, sleep } from './time.ts'

export type Send = (items: readonly string[]) => Promise<void>

interface Waiting { readonly items: Set<string>; readonly done: Promise<void>; resolve(): void; reject(error: unknown): void }

export class Batcher {
  readonly #send: Send
  readonly #gapMs: number
  #next: Waiting | undefined
  #running: Promise<void> | undefined

  constructor(send: Send, gapMs = 0) {
    this.#send = send
    this.#gapMs = gapMs
  }

  /** True when what is added now is sent at once. */
  get isIdle(): boolean { return this.#running === undefined }

  add(items: readonly string[]): Promise<void> {
    if (items.length === 0) return Promise.resolve()
    this.#next ??= { items: new Set<string>(), ...withResolvers() }
    for (const item of items) this.#next.items.add(item)
    const { done } = this.#next
    this.#running ??= this.#run()
    return done
  }

  /** Resolves when nothing is on its way any more. */
  async idle(): Promise<void> { await this.#running }

  async #run(): Promise<void> {
    // Calls made in the same turn go together.
    await Promise.resolve()
    for (let batch = this.#next; batch; batch = this.#next) {
      this.#next = undefined
      const beganAtMs = monotonicMs()
      await this.#send([...batch.items]).then(batch.resolve, batch.reject)
      const leftMs = beganAtMs + this.#gapMs - monotonicMs()
      if (leftMs > 0) await sleep(leftMs)
    }
    this.#running = undefined
  }
}

function withResolvers(): Omit<Waiting, 'items'> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  return { done: promise, resolve, reject }
}
