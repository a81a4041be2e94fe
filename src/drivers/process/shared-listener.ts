/**
 * A port that one child process answers (decision 0021): the supervisor holds the listening
 * socket and accepts nothing; the child accepts from copies of it. What is in the kernel's
 * queue belongs to no process, so none that ends takes it along, and the next one accepts it.
 *
 * Node accepts one connection for each listening socket in a turn of its event loop, which
 * under overload are some dozens a second: hence several copies.
 */
import type { ChildProcess, SendHandle } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { bindFault } from './listener.ts'
import type { Door, Seat } from './listener.ts'

/** What the cluster module shares among its workers: a socket that is bound, and which nobody polls. */
interface BoundHandle { getsockname(out: object): number; close(): void }
const { _createServerHandle: bindHandle } = net as unknown as { _createServerHandle(address: string, port: number, family: number): BoundHandle | number }

const copies = 32

export class SharedListener implements Door {
  readonly #handle: BoundHandle

  private constructor(handle: BoundHandle) { this.#handle = handle }

  static async bind(host: string, port: number): Promise<SharedListener> {
    const { address, family } = await lookup(host)
    const handle = bindHandle(address, port, family)
    // A taken port is told only to who asks what was bound.
    const code = typeof handle === 'number' ? handle : handle.getsockname({})
    if (typeof handle !== 'number' && code === 0) return new SharedListener(handle)
    if (typeof handle !== 'number') handle.close()
    const [name, text] = getSystemErrorMap().get(code) ?? ['', `error ${code}`]
    throw bindFault(host, port, Object.assign(new Error(text), { code: name }))
  }

  join(child: ChildProcess): Seat {
    for (let copy = 0; copy < copies; copy++) child.send({ type: 'listen' }, this.#handle as unknown as SendHandle, () => {})
    return { isHeard: true, took: () => {}, leave: () => {}, vacate: () => {} }
  }

  close(): void { this.#handle.close() }
}
