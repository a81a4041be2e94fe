/**
 * A port that one child process answers (decision 0021): the supervisor holds the listening
 * socket and accepts nothing; the child accepts from copies of it. What is in the kernel's
 * queue belongs to no process, so none that ends takes it along, and the next one accepts it.
 *
 * Node accepts one connection for each listening socket in a turn of its event loop, which
 * under overload are some dozens a second: hence several copies.
 */
import type { ChildProcess } from 'node:child_process'
import { bindSocket } from '../../base/bound-socket.ts'
import type { BoundSocket } from '../../base/bound-socket.ts'
import type { Door, Seat } from './listener.ts'

const copies = 32

export class SharedListener implements Door {
  readonly #socket: BoundSocket

  private constructor(socket: BoundSocket) { this.#socket = socket }

  static async bind(host: string, port: number): Promise<SharedListener> {
    return new SharedListener(await bindSocket(host, port))
  }

  join(child: ChildProcess): Seat {
    for (let copy = 0; copy < copies; copy++) child.send({ type: 'listen' }, this.#socket.handle, () => {})
    return { isHeard: true, took: () => {}, leave: () => {}, vacate: () => {} }
  }

  close(): void { this.#socket.close() }
}
