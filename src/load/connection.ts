/**
 * One HTTP/1.1 connection of a load generator: writes prepared bytes and reads no more of the
 * answer than it must, since the generator often shares the machine with what it measures.
 *
 *   closed ─open▶ connecting ─▶ idle ─send▶ waiting ─answer▶ idle; any error ▶ closed
 */
import net from 'node:net'
import tls from 'node:tls'
import { ReceivedAnswer } from './received-answer.ts'

export interface ConnectionTarget {
  readonly host: string
  readonly port: number
  readonly tls?: boolean
  /** Only the status of an answer counts: its head and body are not there. Not with TLS. */
  readonly counts?: boolean
}

/** What comes is looked at before anything else is read. */
const sharedBuffer = Buffer.allocUnsafeSlow(65_536)

export interface ConnectionEvents {
  /** The answer, or null when the connection broke while waiting. */
  answered(connection: Connection, status: number | null, answer: ReceivedAnswer | null): void
  ready(connection: Connection): void
  /** It is closed, and opens again only when told to. Not called after `stop`. */
  closed(connection: Connection): void
}

export class Connection {
  waiting = false
  #socket: net.Socket | null = null
  #opening: net.Socket | null = null
  #answer = new ReceivedAnswer()
  #stopped = false
  readonly #target: ConnectionTarget
  readonly #events: ConnectionEvents

  constructor(target: ConnectionTarget, events: ConnectionEvents) {
    this.#target = target
    this.#events = events
  }

  get isOpen(): boolean { return this.#socket !== null }

  open(): void {
    const { host, port, counts } = this.#target
    const onread = counts ? {
      buffer: sharedBuffer,
      callback: (bytes: number): boolean => {
        if (this.#socket === socket && this.waiting && this.#answer.count(sharedBuffer.subarray(0, bytes))) this.#done(socket, this.#answer.closes)
        return true
      },
    } : undefined
    const socket: net.Socket = this.#target.tls ? tls.connect({ host, port, servername: net.isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] }) : net.connect({ host, port, onread })
    this.#opening = socket
    socket.setNoDelay(true)
    socket.on(this.#target.tls ? 'secureConnect' : 'connect', () => {
      this.#opening = null
      this.#socket = socket
      this.#events.ready(this)
    })
    if (!counts) socket.on('data', chunk => { if (this.#socket === socket) this.#receive(socket, chunk) })
    socket.on('end', () => { if (this.#socket === socket && this.waiting && this.#answer.finish()) this.#done(socket, true) })
    socket.on('error', () => {})
    socket.on('close', () => this.#closed(socket))
  }

  send(bytes: Buffer): void {
    this.waiting = true
    this.#socket!.write(bytes)
  }

  /** Gives up the request under way: its answer cannot be told from the next one's, so the socket goes. */
  abandon(): void { (this.#socket ?? this.#opening)?.destroy() }

  stop(): void {
    this.#stopped = true
    this.abandon()
  }

  #closed(socket: net.Socket): void {
    // One that said close was let go before.
    if (this.#socket !== socket && this.#opening !== socket) return
    this.#socket = null
    this.#opening = null
    this.#answer = new ReceivedAnswer()
    if (this.#stopped) return
    if (this.waiting) {
      this.waiting = false
      this.#events.answered(this, null, null)
    }
    this.#events.closed(this)
  }

  #receive(socket: net.Socket, chunk: Buffer): void {
    if (this.waiting && this.#answer.receive(chunk)) this.#done(socket, this.#answer.closes)
  }

  /** A server that says close is taken at its word; otherwise the next request would meet a dying socket. */
  #done(socket: net.Socket, closes: boolean): void {
    const answer = this.#answer
    this.#answer = new ReceivedAnswer()
    this.waiting = false
    if (closes) this.#socket = null
    this.#events.answered(this, answer.status, answer)
    if (!closes) return
    socket.destroy()
    if (!this.#stopped) this.#events.closed(this)
  }
}
