/**
 * One HTTP/1.1 connection of the load generator: writes prepared bytes and reads only the
 * status and the length, since the generator shares the machine with what it measures.
 *
 *   closed ─connect▶ idle ─send▶ waiting ─answer▶ idle; any error ▶ closed, and connects again
 */
import { connect } from 'node:net'
import type { Socket } from 'node:net'

/** The request under way, as the caller sees it. */
export interface Sent {
  readonly dueMs: number
  readonly attempt: number
  readonly sequence: number | null
}

const unmeasured: Sent = { dueMs: 0, attempt: 1, sequence: null }

export interface ConnectionEvents {
  /** The answer, or null when the connection broke while waiting. */
  answered(connection: Connection, status: number | null): void
  ready(connection: Connection): void
}

const reconnectMs = 20
const headEnd = Buffer.from('\r\n\r\n')

export class Connection {
  sent = unmeasured
  waiting = false
  private socket: Socket | null = null
  private received: Buffer | null = null
  private stopped = false
  private readonly target: { readonly host: string; readonly port: number }
  private readonly events: ConnectionEvents

  constructor(target: { readonly host: string; readonly port: number }, events: ConnectionEvents) {
    this.target = target
    this.events = events
  }

  open(): void {
    const socket = connect(this.target)
    socket.setNoDelay(true)
    socket.on('connect', () => { this.socket = socket; this.events.ready(this) })
    socket.on('data', chunk => { this.receive(chunk) })
    socket.on('error', () => {})
    socket.on('close', () => { this.closed() })
  }

  send(bytes: Buffer, sent = unmeasured): void {
    this.sent = sent
    this.waiting = true
    this.socket!.write(bytes)
  }

  /** Gives up the request under way: its answer cannot be told from the next one's, so the socket goes. */
  abandon(): void { this.socket?.destroy() }

  stop(): void {
    this.stopped = true
    this.socket?.destroy()
  }

  private closed(): void {
    this.socket = null
    this.received = null
    if (this.stopped) return
    if (this.waiting) {
      this.waiting = false
      this.events.answered(this, null)
    }
    setTimeout(() => { if (!this.stopped) this.open() }, reconnectMs)
  }

  private receive(chunk: Buffer): void {
    const buffer = this.received === null ? chunk : Buffer.concat([this.received, chunk])
    const end = buffer.indexOf(headEnd)
    this.received = buffer
    if (end < 0 || !this.waiting) return
    const status = (buffer[9]! - 48) * 100 + (buffer[10]! - 48) * 10 + buffer[11]! - 48
    const head = buffer.toString('latin1', 0, end)
    if (!isComplete(buffer, head, end + 4, status)) return
    this.received = null
    this.waiting = false
    // A server that says close is taken at its word; otherwise the next request would meet a dying socket.
    if (/\r\nconnection: *close/i.test(head)) {
      const socket = this.socket
      this.socket = null
      this.events.answered(this, status)
      socket?.destroy()
      return
    }
    this.events.answered(this, status)
  }

  get isOpen(): boolean { return this.socket !== null }
}

function isComplete(buffer: Buffer, head: string, bodyStart: number, status: number): boolean {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)
  if (length) return buffer.length >= bodyStart + Number(length[1])
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return buffer.toString('latin1', Math.max(bodyStart, buffer.length - 5)).endsWith('0\r\n\r\n')
  if (status === 204 || status === 304) return true
  throw new Error(`an answer without a length: ${head}`)
}
