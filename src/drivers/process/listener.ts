/**
 * A port whose connections are dealt out among child processes (decision 0008). The
 * supervisor accepts and hands each connection down unread, to the child with the fewest
 * not yet taken, in turn among equals. What a child had not taken when it died goes to
 * another one; while there is none, callers wait instead of being refused.
 */
import type { ChildProcess } from 'node:child_process'
import net from 'node:net'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'

/** A child's place at the table. */
export interface Seat {
  /** It has the connection of this number: the supervisor lets go of its own end. */
  took(id: number): void
  /** No more connections; what is on the way will be taken. */
  leave(): void
  /** The child is gone. */
  vacate(): void
}

interface Player { readonly child: ChildProcess; readonly untaken: Map<number, net.Socket> }

const backlog = 511

export class Listener {
  readonly #server: net.Server
  readonly #players: Player[] = []
  readonly #waiting: net.Socket[] = []
  #nextId = 0
  #turn = 0

  private constructor(server: net.Server) {
    this.#server = server
    server.on('connection', connection => {
      connection.on('error', () => {})
      this.#deal(connection)
    })
  }

  static async bind(host: string, port: number): Promise<Listener> {
    const server = net.createServer({ pauseOnConnect: true })
    await new Promise<void>((resolve, reject) => {
      server.once('error', error => reject(refused(host, port, error)))
      server.listen({ host, port, backlog, exclusive: true }, resolve)
    })
    return new Listener(server)
  }

  join(child: ChildProcess): Seat {
    const player: Player = { child, untaken: new Map() }
    this.#players.push(player)
    for (const connection of this.#waiting.splice(0)) this.#deal(connection)
    const leave = () => {
      const at = this.#players.indexOf(player)
      if (at >= 0) this.#players.splice(at, 1)
    }
    return {
      leave,
      took: id => {
        player.untaken.get(id)?.destroy()
        player.untaken.delete(id)
      },
      vacate: () => {
        leave()
        const untaken = [...player.untaken.values()]
        player.untaken.clear()
        for (const connection of untaken) this.#deal(connection)
      },
    }
  }

  close(): void {
    this.#server.close()
    for (const connection of this.#waiting.splice(0)) connection.destroy()
  }

  #deal(connection: net.Socket): void {
    const player = this.#next()
    if (!player) return this.#hold(connection)
    const id = this.#nextId++
    player.untaken.set(id, connection)
    // A failure means that the child is going; its end gives the connection to another one.
    player.child.send({ type: 'connection', id }, connection, { keepOpen: true }, () => {})
  }

  #hold(connection: net.Socket): void {
    if (!this.#server.listening || this.#waiting.length >= limits.connectionsMax) connection.destroy()
    else this.#waiting.push(connection)
  }

  #next(): Player | undefined {
    let best: Player | undefined
    const count = this.#players.length
    for (let step = 0; step < count; step++) {
      const player = this.#players[(this.#turn + step) % count]!
      if (!best || player.untaken.size < best.untaken.size) best = player
    }
    if (best) this.#turn = this.#players.indexOf(best) + 1
    return best
  }
}

function refused(host: string, port: number, error: NodeJS.ErrnoException): Error {
  if (error.code === 'EACCES') return fault('USAGE', `port ${port} may not be used by this user: choose one above 1023`)
  if (error.code === 'EADDRINUSE') return fault('USAGE', `port ${port} is taken on ${host}: stop what listens there, or choose another port`)
  return fault('USAGE', `port ${port} on ${host} cannot be listened on: ${error.message}`, { cause: error })
}
