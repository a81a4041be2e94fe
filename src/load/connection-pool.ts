/** Keep-alive connections of a generator: an idle one is taken first, one more opened up to the limit, and what comes beyond it waits in line. */
import { every, monotonicMs } from '../base/time.ts'
import { Connection } from './connection.ts'
import type { ConnectionTarget } from './connection.ts'
import type { ReceivedAnswer } from './received-answer.ts'
import type { IncomingAnswer, OutgoingRequest, Sender } from './sender.ts'

interface Job {
  readonly bytes: Buffer
  readonly deadlineMs: number
  readonly resolve: (result: IncomingAnswer | 'timeout' | 'broken') => void
}

const sweepMs = 25

export function targetOf(url: string): ConnectionTarget {
  const { protocol, hostname, port } = new URL(url)
  const isSecure = protocol === 'https:'
  return { host: hostname.replace(/^\[|\]$/g, ''), port: port === '' ? (isSecure ? 443 : 80) : Number(port), tls: isSecure }
}

export class ConnectionPool implements Sender {
  waited = 0
  readonly #target: ConnectionTarget
  readonly #host: string
  readonly #connectionsMax: number
  readonly #jobs = new Map<Connection, Job>()
  readonly #all = new Set<Connection>()
  readonly #idle: Connection[] = []
  #queue: Job[] = []
  readonly #stopSweep: () => void

  constructor(url: string, connectionsMax: number) {
    this.#target = targetOf(url)
    this.#host = new URL(url).host
    this.#connectionsMax = connectionsMax
    this.#stopSweep = every(sweepMs, () => this.#sweep())
  }

  get inFlight(): number { return this.#jobs.size + this.#queue.length }

  send(request: OutgoingRequest, deadlineMs: number): Promise<IncomingAnswer | 'timeout' | 'broken'> {
    return new Promise(resolve => {
      const job: Job = { bytes: this.#compose(request), deadlineMs, resolve }
      const idle = this.#takeIdle()
      if (idle) this.#give(idle, job)
      else if (this.#all.size < this.#connectionsMax) this.#open(job)
      else {
        this.waited++
        this.#queue.push(job)
      }
    })
  }

  close(): void {
    this.#stopSweep()
    for (const connection of this.#all) connection.stop()
  }

  #takeIdle(): Connection | undefined {
    for (let one = this.#idle.pop(); one; one = this.#idle.pop()) if (one.isOpen) return one
    return undefined
  }

  #give(connection: Connection, job: Job): void {
    this.#jobs.set(connection, job)
    connection.send(job.bytes)
  }

  #open(job: Job): void {
    const connection = new Connection(this.#target, {
      ready: () => connection.send(job.bytes),
      answered: (one, _, answer) => this.#answered(one, answer),
      closed: one => this.#closed(one),
    })
    this.#all.add(connection)
    this.#jobs.set(connection, job)
    connection.open()
  }

  #answered(connection: Connection, answer: ReceivedAnswer | null): void {
    this.#settle(connection, answer ?? 'broken')
    if (!connection.isOpen) return
    const next = this.#queue.shift()
    if (next) this.#give(connection, next)
    else this.#idle.push(connection)
  }

  #closed(connection: Connection): void {
    this.#all.delete(connection)
    // It never came to be open.
    this.#settle(connection, 'broken')
    const next = this.#queue.shift()
    if (next) this.#open(next)
  }

  #settle(connection: Connection, result: IncomingAnswer | 'timeout' | 'broken'): void {
    const job = this.#jobs.get(connection)
    this.#jobs.delete(connection)
    job?.resolve(result)
  }

  /** A client gives up as well: sent or not, whoever is past the deadline gets no answer. */
  #sweep(): void {
    const nowMs = monotonicMs()
    const isOver = (job: Job) => job.deadlineMs <= nowMs
    for (const [connection, job] of this.#jobs) {
      if (!isOver(job)) continue
      this.#settle(connection, 'timeout')
      connection.stop()
      this.#closed(connection)
    }
    if (!this.#queue.some(isOver)) return
    const [over, left] = [this.#queue.filter(isOver), this.#queue.filter(job => !isOver(job))]
    this.#queue = left
    for (const job of over) job.resolve('timeout')
  }

  #compose({ method, path, headers, body }: OutgoingRequest): Buffer {
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join('')
    const length = body !== undefined || method !== 'GET' ? `content-length: ${Buffer.byteLength(body ?? '')}\r\n` : ''
    return Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: ${this.#host}\r\n${lines}${length}\r\n${body ?? ''}`)
  }
}
