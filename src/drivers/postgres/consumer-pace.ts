/**
 * When a consumer looks again. A commit wakes it, and then it lets more of them gather, so
 * that batches form: a little after a quiet time, longer while there is more than one in each
 * batch, and longer still while batches stay large. A reader that waits for it cuts that short.
 */
import { after } from '../../base/time.ts'

const gatherMsDefault = 5
/** What a batch costs beside its messages is shared by those of so long a time. */
const restMs = 50
/** Between large batches. */
const restMsMax = 200
/** A batch of so many is large. */
const largeMessages = 16
const horizonPollMsMax = 25
/** While a running transaction holds the horizon back; doubled each time, unless a reader waits. */
const horizonPollMs = 3

export class ConsumerPace {
  readonly #stopping: AbortSignal
  readonly #gatherMs: number
  readonly #isAwaited: () => boolean
  #woken = false
  readonly #restMsMax: number
  /** Doubled after each large batch. */
  #restMs = restMs
  /** How often in a row the horizon was found held back. */
  #held = 0
  #wake: (() => void) | undefined
  #hurry: (() => void) | undefined

  constructor(stopping: AbortSignal, isAwaited: () => boolean, gatherMs = gatherMsDefault, mayGrow = false) {
    this.#stopping = stopping
    this.#isAwaited = isAwaited
    this.#gatherMs = gatherMs
    this.#restMsMax = mayGrow ? restMsMax : restMs
  }

  /** Called before each look: what wakes it from now on may have been missed by it. */
  look(): void { this.#woken = false }

  /** There is something new. */
  wake(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Somebody waits: no more gathering. */
  hurry(): void { this.#hurry?.() }

  stop(): void {
    this.#wake?.()
    this.#hurry?.()
  }

  /** Until it is woken or pollMs have passed. */
  async wait(pollMs: number): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>(resolve => {
        const cancel = after(pollMs, resolve)
        this.#wake = () => { cancel(); resolve() }
        if (this.#stopping.aborted) resolve()
      })
      this.#wake = undefined
    }
    if (this.#woken) await this.#rest(this.#gatherMs)
  }

  async restAfter(messages: number): Promise<void> {
    this.#held = 0
    this.#restMs = messages < largeMessages ? restMs : Math.min(this.#restMsMax, this.#restMs * 2)
    await this.#rest(messages > 1 ? Math.max(this.#gatherMs, this.#restMs) : this.#gatherMs)
  }

  awaitHorizon(): Promise<void> {
    return this.#pause(this.#isAwaited() ? horizonPollMs : Math.min(horizonPollMsMax, horizonPollMs * 2 ** this.#held++))
  }

  async #rest(pauseMs: number): Promise<void> {
    if (!this.#isAwaited()) await this.#pause(pauseMs)
  }

  /** Commits do not end it; a reader that begins to wait does. */
  async #pause(pauseMs: number): Promise<void> {
    if (this.#stopping.aborted) return
    await new Promise<void>(resolve => {
      const cancel = after(pauseMs, resolve)
      this.#hurry = () => { cancel(); resolve() }
    })
    this.#hurry = undefined
  }
}
