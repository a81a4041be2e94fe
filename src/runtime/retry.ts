/**
 * Retries in one layer only, the outermost, within a budget: a token bucket that a fifth
 * of the calls refill, plus ten a second (Finagle's RetryBudget), so that retries cannot
 * multiply an outage. Full jitter between tries.
 */
import { backoffMs } from '../base/backoff.ts'
import { isTenfoldError } from '../base/errors.ts'
import { limits } from '../base/limits.ts'
import type { Counter } from '../base/metric-registry.ts'
import { monotonicMs, sleep } from '../base/time.ts'

const backoff = { baseMs: 20, capMs: 500 }

export class RetryBudget {
  #credits: number = limits.retryBudgetPerSecondMin
  #refilledAtMs = monotonicMs()

  /** To be called for every first try. */
  deposit(): void {
    this.#credits = Math.min(this.#credits + limits.retryBudgetRatio, 100)
  }

  withdraw(): boolean {
    const atMs = monotonicMs()
    this.#credits = Math.min(100, this.#credits + (atMs - this.#refilledAtMs) / 1000 * limits.retryBudgetPerSecondMin)
    this.#refilledAtMs = atMs
    if (this.#credits < 1) return false
    this.#credits--
    return true
  }
}

/** Runs `work` again while it fails retryably, tries and budget are left and the deadline allows it. */
export async function withRetries<T>(budget: RetryBudget, deadlineMonotonicMs: number, mayRetry: (error: unknown) => boolean, work: (attempt: number) => Promise<T>, retries?: Counter): Promise<T> {
  budget.deposit()
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      if (attempt >= limits.attemptsMax || !mayRetry(error) || !budget.withdraw()) throw error
      const delayMs = backoffMs(backoff, attempt)
      if (monotonicMs() + delayMs >= deadlineMonotonicMs) throw error
      await sleep(delayMs)
      retries?.add()
    }
  }
}

export const isRetryable = (error: unknown): boolean => isTenfoldError(error) && (error.code === 'UNAVAILABLE' || error.code === 'IDEMPOTENCY_IN_FLIGHT')
