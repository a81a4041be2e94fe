/** The listening side of the ingress: binds the port or takes the handed socket, drains and closes. */
import net from 'node:net'
import type http from 'node:http'
import { fault } from '../../base/errors.ts'
import { monotonicMs, sleep } from '../../base/time.ts'
import type { Listening, ListenOptions } from '../../ports/ingress.ts'
import type { ServerState } from './server.ts'

export function bind(server: http.Server, { host, port, handle }: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(error.code === 'EADDRINUSE'
      ? fault('USAGE', `port ${port} is taken: stop what listens there, or set PORT to another one`) : error))
    const done = () => resolve((server.address() as net.AddressInfo).port)
    if (handle) server.listen(handle, done)
    else server.listen(port, host, done)
  })
}

/** What is bound, with the server to close at the end. */
export interface Closable { readonly server: http.Server; close(): PromiseLike<unknown> }

export function listening(bound: Closable, host: string, port: number, state: ServerState): Listening {
  const { server } = bound
  let closing: Promise<void> | undefined
  const stopAccepting = () => {
    state.draining = true
    // Not http.Server.close(): that resets idle keep-alive connections (data.md §1e).
    net.Server.prototype.close.call(server)
  }
  const settled = async (deadlineMs: number) => { while (state.inFlight > 0 && monotonicMs() < deadlineMs) await sleep(5) }
  return {
    url: `http://${host}:${port}`, port,
    async drain(graceMs) {
      stopAccepting()
      const deadlineMs = monotonicMs() + graceMs
      await settled(deadlineMs)
      // A client that is about to use its idle connection gets its answer before it is closed.
      await sleep(Math.min(50, Math.max(0, deadlineMs - monotonicMs())))
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
