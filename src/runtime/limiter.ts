/**
 * Admission: an adaptive limit of requests in flight. Latency says when work queues up:
 * the limit grows while the recent median stays near what it is without a queue, and shrinks
 * when it does not (after Netflix's concurrency-limits, Gradient2). What exceeds the limit is
 * refused at once, before its body is read, lowest priority first (I9).
 *
 * What latency is without a queue is learnt upwards only while half of the limit is enough:
 * else a queue that lasts would become what is normal.
 */
import { limits } from '../base/limits.ts'
import { monotonicMs } from '../base/time.ts'
import type { Priority } from '../ports/transport.ts'

/** The share of the limit that each class may fill. */
const share: Record<Priority, number> = { critical: 1, normal: 0.9, low: 0.6 }
const windowMs = 100
const samplesMin = 20
/** Latency may rise to this multiple of what it is without a queue before the limit shrinks. */
const tolerance = 2
/** The best latency is forgotten slowly, so that a change of the work is followed. */
const forgetting = 1.02
/** Below this the median says nothing about overload: a full house of quick calls is no queue worth refusing for. */
const floorMs = limits.admissionQueueMs / tolerance

export interface Ticket { readonly startedAtMs: number; readonly cost: number }

export class Limiter {
  readonly #enabled: boolean
  #limit = 64
  #inFlight = 0
  #refused = 0
  #baselineMs = floorMs
  #samples: number[] = []
  #peakInFlight = 0
  #windowEndsAtMs = monotonicMs() + windowMs

  constructor(options: { readonly enabled?: boolean } = {}) {
    this.#enabled = options.enabled ?? true
  }

  get state(): { readonly limit: number; readonly inFlight: number; readonly refused: number } {
    return { limit: Math.floor(this.#limit), inFlight: this.#inFlight, refused: this.#refused }
  }

  /** A ticket to give back with `leave`, or null: refuse. */
  enter(priority: Priority, cost = 1): Ticket | null {
    if (this.#enabled && this.#inFlight + cost > this.#limit * share[priority] && this.#inFlight > 0) {
      this.#refused++
      return null
    }
    this.#inFlight += cost
    if (this.#inFlight > this.#peakInFlight) this.#peakInFlight = this.#inFlight
    return { startedAtMs: monotonicMs(), cost }
  }

  leave(ticket: Ticket): void {
    this.#inFlight -= ticket.cost
    const atMs = monotonicMs()
    this.#samples.push((atMs - ticket.startedAtMs) / ticket.cost)
    if (atMs >= this.#windowEndsAtMs && this.#samples.length >= samplesMin) this.#adapt(atMs)
  }

  #adapt(atMs: number): void {
    const sorted = this.#samples.sort((one, other) => one - other)
    const medianMs = Math.max(floorMs, sorted[sorted.length >> 1]!)
    const busy = this.#peakInFlight > this.#limit / 2
    this.#baselineMs = Math.min(busy ? this.#baselineMs : this.#baselineMs * forgetting, medianMs)
    const gradient = Math.min(1, Math.max(0.5, tolerance * this.#baselineMs / medianMs))
    const headroom = Math.sqrt(this.#limit)
    const wanted = this.#limit * gradient + headroom
    // An idle process learns nothing about its limit: it may shrink, but grows only when it is used.
    if (wanted < this.#limit || busy) this.#limit = Math.min(limits.concurrencyMax, Math.max(limits.concurrencyMin, 0.8 * this.#limit + 0.2 * wanted))
    this.#samples = []
    this.#peakInFlight = this.#inFlight
    this.#windowEndsAtMs = atMs + windowMs
  }
}
