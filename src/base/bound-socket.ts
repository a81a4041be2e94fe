/**
 * A listening socket that is bound here and served elsewhere: a child inherits its
 * descriptor. Nobody accepts on it in this process, and what arrives while no child does waits.
 */
import net from 'node:net'
import { fault } from './errors.ts'

export interface BoundSocket {
  readonly fd: number
  readonly host: string
  readonly port: number
  close(): void
}

interface Handle {
  readonly fd: number
  getsockname(out: { port?: number }): number
  close(): void
}

/** Node's own cluster makes its sockets with it; measured on the pinned Node (data.md §1e). */
const { _createServerHandle: createServerHandle } = net as unknown as { _createServerHandle(host: string, port: number, family: 4 | 6): Handle | number }

/** Port 0 takes one that is free. */
export function bindSocket(host: string, port: number): BoundSocket {
  const handle = createServerHandle(host, port, net.isIPv6(host) ? 6 : 4)
  if (typeof handle === 'number') throw refusalOf(handle, host, port)
  const name: { port?: number } = {}
  // A port that is taken is told here: binding itself leaves that to whoever listens.
  const error = handle.getsockname(name)
  if (error !== 0) { handle.close(); throw refusalOf(error, host, port) }
  return { fd: handle.fd, host, port: name.port!, close: () => handle.close() }
}

function refusalOf(errno: number, host: string, port: number): Error {
  const code = net.isIP(host) ? process.platform === 'linux' ? { [-13]: 'EACCES', [-98]: 'EADDRINUSE' }[errno] : undefined : 'no address'
  if (code === 'EACCES') return fault('USAGE', `port ${port} may not be used by this user: choose one above 1023`)
  if (code === 'EADDRINUSE') return fault('USAGE', `port ${port} is taken on ${host}: stop what listens there, or choose another port`)
  return fault('USAGE', `port ${port} on ${host} cannot be listened on: ${code ?? `error ${errno}`}`)
}
