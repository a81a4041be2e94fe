/** The listening side of the ingress: binds the port, or takes a supervisor's connections or its socket; drains and closes. */
import net from 'node:net'
import type http from 'node:http'
import { fault } from '../../base/errors.ts'
import { limits } from '../../base/limits.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { Listening, ListenOptions } from '../../ports/ingress.ts'
import type { ServerState } from './server.ts'

/** So long an idle connection may be used once more, unless told otherwise. */
const lingerStandardMs = 50

export function bind(server: http.Server, { host, port, handedDown }: ListenOptions): Promise<number> {
  if (handedDown) {
    // Node starts to look at its time-outs with this event.
    server.emit('listening')
    return Promise.resolve(port)
  }
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE'
      ? fault('USAGE', `port ${port} is taken: stop what listens there, or set PORT to another one`) : error))
    server.listen(port, host, () => resolve((server.address() as net.AddressInfo).port))
  })
}

/** What is bound, with the server to close at the end. */
export interface Closable { readonly server: http.Server; close(): PromiseLike<unknown> }

export function listening(bound: Closable, host: string, port: number, state: ServerState): Listening {
  const { server } = bound
  const acceptors: net.Server[] = []
  let closing: Promise<void> | undefined
  const stopAccepting = () => {
    state.draining = true
    for (const acceptor of acceptors) acceptor.close()
    // Not http.Server.close(): that resets idle keep-alive connections (data.md §1e).
    net.Server.prototype.close.call(server)
  }
  const settled = async (deadlineMs: number) => { while (state.inFlight > 0 && monotonicMs() < deadlineMs) await sleep(5) }
  return {
    url: `http://${host}:${port}`, port,
    take: connection => take(server, connection, state),
    accept: socket => new Promise((resolve, reject) => {
      const acceptor = net.createServer(connection => take(server, connection, state))
      acceptors.push(acceptor)
      // Once it listens, an error is that of one connection which could not be accepted.
      acceptor.on('error', reject).listen(socket, resolve)
      if (state.draining) acceptor.close(() => resolve())
    }),
    async drain(graceMs, lingerMs = lingerStandardMs) {
      stopAccepting()
      const deadlineMs = monotonicMs() + graceMs
      await settled(deadlineMs)
      // A client that is about to use its idle connection gets its answer before it is closed.
      const lingerUntilMs = Math.min(monotonicMs() + lingerMs, deadlineMs)
      while (state.connections > 0 && monotonicMs() < lingerUntilMs) await sleep(5)
      server.closeIdleConnections()
      await settled(deadlineMs)
      if (state.inFlight > 0) server.closeAllConnections()
    },
    close: () => closing ??= (async () => {
      if (!state.draining) stopAccepting()
      server.closeAllConnections()
      await Promise.resolve(bound.close()).catch(() => {})
    })(),
  }
}

/** What net.Server does for a connection that it accepts itself. */
function take(server: http.Server, connection: net.Socket, state: ServerState): void {
  if (state.connections >= limits.connectionsMax) return void connection.destroy()
  connection.allowHalfOpen = true
  connection.setNoDelay(true)
  server.emit('connection', connection)
}
