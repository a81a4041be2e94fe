/**
 * Bound sockets that outlive the processes that accept on them. The supervisor binds and
 * never accepts; while no child lives, the kernel keeps callers waiting instead of refusing.
 */
import type { SendHandle } from 'node:child_process'
import { lookup } from 'node:dns/promises'
import net from 'node:net'
import { fault } from '../../base/errors.ts'

export interface Listener {
  /** To be sent to a child over IPC. */
  readonly handle: SendHandle
  close(): void
}

interface TcpHandle {
  getsockname(into: { address?: string; port?: number }): number
  close(): void
}

/** Semi-internal, in every Node since 0.10; `node:cluster` is built on it. A number is an error of the system. */
interface NetInternals {
  _createServerHandle(address: string, port: number, addressType: 4 | 6): TcpHandle | number
}

export async function bindListener(host: string, port: number): Promise<Listener> {
  const { address, family } = await lookup(host)
  const handle = (net as unknown as NetInternals)._createServerHandle(address, port, family === 6 ? 6 : 4)
  if (typeof handle === 'number') throw taken(host, port, handle)
  // libuv reports "address in use" only on listen; until then the socket merely has no port.
  const bound: { port?: number } = {}
  const status = handle.getsockname(bound)
  if (status !== 0 || !bound.port || (port !== 0 && bound.port !== port)) {
    handle.close()
    throw taken(host, port, status)
  }
  return { handle: handle as unknown as SendHandle, close: () => handle.close() }
}

const accessDenied = -13

function taken(host: string, port: number, status: number): Error {
  if (status === accessDenied) return fault('USAGE', `port ${port} may not be used by this user: choose one above 1023`)
  return fault('USAGE', `port ${port} is taken on ${host}: stop what listens there, or choose another port`)
}
