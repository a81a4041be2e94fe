/**
 * A port whose connections are dealt out among several child processes (decision 0008); for
 * one alone there is shared-listener.ts. The
 * supervisor accepts and hands each connection down unread, to the child with the fewest
 * not yet taken, in turn among equals. What a child had not taken when it died goes to
 * another one; while there is none, callers wait instead of being refused.
 *
 * A child takes about one connection in each turn of its event loop. Of what comes faster the
 * newest is dealt first, since its client is still there, and what has waited long is refused:
 * else a child that was full once would for ever take what its clients have given up.
 */
import type { ChildProcess } from 'node:child_process'
import net from 'node:net'
import { bindFault } from '../../base/bound-socket.ts'
import { limits } from '../../base/limits.ts'
import { after, monotonicMs } from '../../base/time.ts'

/** Where a port is answered from. */
export interface Door {
  /** `port`: where the child says that it listens itself. */
  join(child: ChildProcess, port?: number): Seat
  close(): void
}

/** A child's place at the table. */
export interface Seat {
  /** True: the child says `listening` when it can be reached. */
  readonly isHeard?: boolean
  /** The child can be reached when it resolves. */
  readonly joined?: Promise<void>
  /** It has the connection of this number: the supervisor lets go of its own end. */
  took(id: number): void
  /** No more connections; what is on the way will be taken. Resolves when the child may be told to drain. */
  leave(graceMs?: number): void | Promise<void>
  /** The child is gone. */
  vacate(): void
}

interface Waiting { readonly connection: net.Socket; sinceMs: number }
interface Player { readonly child: ChildProcess; readonly untaken: Map<number, Waiting> }

const backlog = 511
/** On the way to one child: enough that what comes at once is dealt evenly, few enough that little goes stale. */
const untakenMax = 16
const sweepMs = 100
const refusal = 'HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
/** So long the rest of what is sent is read and thrown away: closing before would take the answer back. */
const refusedLingerMs = 1_000

export class Listener implements Door {
  readonly #server: net.Server
  readonly #players: Player[] = []
  /** The newest last. */
  readonly #waiting: Waiting[] = []
  readonly #untakenMax: number
  #nextId = 0
  #turn = 0
  #sweeping = false

  private constructor(server: net.Server, isLimited: boolean) {
    this.#server = server
    this.#untakenMax = isLimited ? untakenMax : Infinity
    server.on('connection', connection => {
      connection.on('error', () => {})
      if (this.#waiting.length >= limits.connectionsMax) return void connection.destroy()
      this.#waiting.push({ connection, sinceMs: monotonicMs() })
      this.#deal()
    })
  }

  /** Not limited: everything is dealt at once, however much has not been taken. */
  static async bind(host: string, port: number, isLimited = true): Promise<Listener> {
    const server = net.createServer({ pauseOnConnect: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', error => reject(bindFault(host, port, error)))
      server.listen({ host, port, backlog, exclusive: true }, resolve)
    })
    return new Listener(server, isLimited)
  }

  join(child: ChildProcess): Seat {
    const player: Player = { child, untaken: new Map() }
    if (this.#players.length === 0) for (const one of this.#waiting) one.sinceMs = monotonicMs()
    this.#players.push(player)
    this.#deal()
    const leave = () => {
      const at = this.#players.indexOf(player)
      if (at >= 0) this.#players.splice(at, 1)
    }
    return {
      leave,
      took: id => {
        player.untaken.get(id)?.connection.destroy()
        player.untaken.delete(id)
        this.#deal()
      },
      vacate: () => {
        leave()
        if (this.#server.listening) this.#waiting.push(...player.untaken.values())
        else for (const { connection } of player.untaken.values()) connection.destroy()
        player.untaken.clear()
        this.#deal()
      },
    }
  }

  close(): void {
    this.#server.close()
    for (const { connection } of this.#waiting.splice(0)) connection.destroy()
  }

  #deal(): void {
    while (this.#waiting.length > 0) {
      const player = this.#next()
      if (!player) break
      const one = this.#waiting.pop()!
      const id = this.#nextId++
      player.untaken.set(id, one)
      // A failure means that the child is going; its end gives the connection to another one.
      player.child.send({ type: 'connection', id }, one.connection, { keepOpen: true }, () => {})
    }
    this.#sweepLater()
  }

  #sweepLater(): void {
    if (this.#sweeping || this.#waiting.length === 0) return
    this.#sweeping = true
    after(sweepMs, () => {
      this.#sweeping = false
      if (this.#players.length > 0) this.#refuseOld()
      this.#sweepLater()
    }, true)
  }

  #refuseOld(): void {
    const oldestMs = monotonicMs() - limits.connectionWaitMs
    const young = this.#waiting.findIndex(one => one.sinceMs >= oldestMs)
    for (const { connection } of this.#waiting.splice(0, young < 0 ? this.#waiting.length : young)) {
      connection.end(refusal)
      connection.resume()
      after(refusedLingerMs, () => connection.destroy(), true)
    }
  }

  #next(): Player | undefined {
    let best: Player | undefined
    const count = this.#players.length
    for (let step = 0; step < count; step++) {
      const player = this.#players[(this.#turn + step) % count]!
      if (player.untaken.size < (best?.untaken.size ?? this.#untakenMax)) best = player
    }
    if (best) this.#turn = this.#players.indexOf(best) + 1
    return best
  }
}
