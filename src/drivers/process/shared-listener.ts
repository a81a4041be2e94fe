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
import { monotonicMs, sleep } from '../../base/time.ts'
import { bindFault } from './listener.ts'
import type { Door, Seat } from './listener.ts'

/** What the cluster module shares among its workers: a socket that is bound, and which nobody polls. */
interface BoundHandle { getsockname(out: object): number; close(): void }
const { _createServerHandle: bindHandle } = net as unknown as { _createServerHandle(address: string, port: number, family: number): BoundHandle | number }

const copies = 32
/** So long a port may be taken still by the child of a supervisor that was killed. */
const bindMs = 1_000
const bindPauseMs = 50

export class SharedListener implements Door {
  readonly #handle: BoundHandle

  private constructor(handle: BoundHandle) { this.#handle = handle }

  static async bind(host: string, port: number): Promise<SharedListener> {
    const { address, family } = await lookup(host)
    const untilMs = monotonicMs() + bindMs
    for (;;) {
      const bound = tryBind(address, port, family)
      if (typeof bound !== 'string') return new SharedListener(bound)
      if (bound !== 'EADDRINUSE' || monotonicMs() > untilMs) throw bindFault(host, port, Object.assign(new Error(bound), { code: bound }))
      await sleep(bindPauseMs)
    }
  }

  join(child: ChildProcess): Seat {
    for (let copy = 0; copy < copies; copy++) child.send({ type: 'listen' }, this.#handle as unknown as SendHandle, () => {})
    return { isHeard: true, took: () => {}, leave: () => {}, vacate: () => {} }
  }

  close(): void { this.#handle.close() }
}

/** The socket, or the name of the error. */
function tryBind(address: string, port: number, family: number): BoundHandle | string {
  const handle = bindHandle(address, port, family)
  // That a port is taken is told only to who asks what was bound.
  const code = typeof handle === 'number' ? handle : handle.getsockname({})
  if (typeof handle !== 'number') {
    if (code === 0) return handle
    handle.close()
  }
  return getSystemErrorMap().get(code)?.[0] ?? `error ${code}`
}
