/**
 * Lends the connections of a pool, first come first served, and bounds the wait. A queue that
 * stands makes everybody wait for as long as it is, and keeps in work what nobody waits for any
 * more: while there is one, who may be refused is refused early; a burst may take longer to
 * drain (after CoDel, RFC 8289, which tells the two apart in the same way). A queue that does not
 * move at all is no overload: the server is away, and everybody waits for the next one.
 */
import type pg from 'pg'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { after, monotonicMs } from '../../base/time.ts'
import { stateOf } from './pool-metrics.ts'
import type { PoolState } from './pool-metrics.ts'

export interface Wait {
  readonly deadlineMonotonicMs: number
  /** Nothing has been begun for it: rather OVERLOADED soon than a connection late. */
  readonly mayBeRefused: boolean
}

export class Lending {
  readonly #service: string
  readonly #pool: pg.Pool
  readonly #waiting = new Set<() => void>()
  #lent = 0
  /** When a connection was free last, and when one was given back. */
  #freeAtMs = -Infinity
  #movedAtMs = -Infinity

  constructor(service: string, pool: pg.Pool) {
    this.#service = service
    this.#pool = pool
  }

  get state(): PoolState { return { ...stateOf(this.#service, 'write', this.#pool), waiting: this.#waiting.size } }

  /** To be given back by `release`, whatever happens. Rejects with OVERLOADED or DEADLINE_EXCEEDED, or with what keeps it from being opened. */
  async lend(wait: Wait): Promise<pg.PoolClient> {
    if (this.#lent < this.#pool.options.max) this.#take()
    else await this.#turn(wait)
    try {
      return await this.#pool.connect()
    } catch (error) {
      this.#giveBack()
      throw error
    }
  }

  release(client: pg.PoolClient, broken?: Error): void {
    client.release(broken)
    this.#giveBack()
  }

  close(): Promise<void> { return this.#pool.end() }

  #take(): void {
    this.#lent++
    this.#freeAtMs = monotonicMs()
  }

  /** Resolves when the connection that somebody gave back is this one's. */
  #turn({ deadlineMonotonicMs, mayBeRefused }: Wait): Promise<void> {
    const nowMs = monotonicMs()
    const patienceMs = nowMs - this.#freeAtMs < limits.burstMs ? limits.burstMs : limits.connectionQueueMs
    return new Promise((resolve, reject) => {
      let cancel = () => {}
      let hasStood = false
      const next = () => { cancel(); resolve() }
      const look = () => {
        const atMs = monotonicMs()
        const isOver = atMs >= deadlineMonotonicMs
        const stands = this.#movedAtMs <= nowMs
        // Those who waited for the server are a burst once it is back.
        const mayWait = !mayBeRefused || stands || hasStood
        const patientForMs = mayBeRefused ? stands ? limits.connectionQueueMs : limits.burstMs : Infinity
        hasStood = stands
        if (!isOver && mayWait) return wait(patientForMs)
        this.#waiting.delete(next)
        reject(isOver
          ? fault('DEADLINE_EXCEEDED', `no connection for a transaction of ${this.#service} was free in time`)
          : fault('OVERLOADED', `no connection for a transaction of ${this.#service} was free within ${Math.round(atMs - nowMs)} ms`))
      }
      const wait = (forMs: number) => { cancel = after(Math.max(0, Math.min(forMs, deadlineMonotonicMs - monotonicMs())), look) }
      wait(mayBeRefused ? patienceMs : Infinity)
      this.#waiting.add(next)
    })
  }

  #giveBack(): void {
    this.#movedAtMs = monotonicMs()
    const [next] = this.#waiting
    if (!next) {
      this.#lent--
      this.#freeAtMs = this.#movedAtMs
      return
    }
    this.#waiting.delete(next)
    next()
  }
}
