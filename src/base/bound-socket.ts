/**
 * A listening socket that is bound here and served elsewhere: a child inherits its descriptor,
 * or gets a copy of its handle. Nobody accepts on it in this process, and what arrives while no
 * child does waits.
 */
import type { SendHandle } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { getSystemErrorMap } from 'node:util'
import { fault } from './errors.ts'
import { monotonicMs, sleep } from './time.ts'

export interface BoundSocket {
  readonly fd: number
  readonly port: number
  /** For `send` to a child of Node. */
  readonly handle: SendHandle
  close(): void
}

interface Handle { readonly fd: number; getsockname(out: { port?: number }): number; close(): void }
/** What Node's own cluster module shares among its workers. */
const { _createServerHandle: createServerHandle } = net as unknown as { _createServerHandle(address: string, port: number, family: number): Handle | number }

/** So long a port may be taken still by the child of a supervisor that was killed. */
const bindMs = 1_000
const bindPauseMs = 50

/** Port 0 takes one that is free. Rejects with USAGE, and what to do about it. */
export async function bindSocket(host: string, port: number): Promise<BoundSocket> {
  const { address, family } = await lookup(host)
  const untilMs = monotonicMs() + bindMs
  for (;;) {
    const bound = tryBind(address, port, family)
    if (typeof bound !== 'string') return bound
    if (bound !== 'EADDRINUSE' || monotonicMs() > untilMs) throw bindFault(host, port, Object.assign(new Error(bound), { code: bound }))
    await sleep(bindPauseMs)
  }
}

/** The socket, or the name of the error. */
function tryBind(address: string, port: number, family: number): BoundSocket | string {
  const handle = createServerHandle(address, port, family)
  const name: { port?: number } = {}
  // That a port is taken is told only to who asks what was bound.
  const code = typeof handle === 'number' ? handle : handle.getsockname(name)
  if (typeof handle !== 'number') {
    if (code === 0) return { fd: handle.fd, port: name.port!, handle: handle as unknown as SendHandle, close: () => handle.close() }
    handle.close()
  }
  return getSystemErrorMap().get(code)?.[0] ?? `error ${code}`
}

export function bindFault(host: string, port: number, error: NodeJS.ErrnoException): Error {
  if (error.code === 'EACCES') return fault('USAGE', `port ${port} may not be used by this user: choose one above 1023`)
  if (error.code === 'EADDRINUSE') return fault('USAGE', `port ${port} is taken on ${host}: stop what listens there, or choose another port`)
  return fault('USAGE', `port ${port} on ${host} cannot be listened on: ${error.message}`, { cause: error })
}
