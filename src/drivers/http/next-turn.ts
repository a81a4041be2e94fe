/**
 * While much runs, a request begins one turn of the event loop later: by then it shows whether
 * its client has gone, and no work is begun for nobody. What had waited in the kernel until its
 * client gave up is read together with the news of that, in the turn after it.
 */
import type { IncomingMessage } from 'node:http'
import { limits } from '../../base/limits.ts'
import type { ServerState, TrackedListener, TrackedResponse } from './server.ts'

type Waiting = readonly [IncomingMessage, TrackedResponse]

/** Few run that are always let in: nothing waits for its turn then. */
const runningMax = limits.concurrencyMin

export function inTheNextTurn(listener: TrackedListener, state: ServerState): TrackedListener {
  let batch: Waiting[] | null = null
  return (request, response) => {
    if (state.inFlight <= runningMax) return listener(request, response)
    batch ??= open()
    batch.push([request, response])
  }

  function open(): Waiting[] {
    const opened: Waiting[] = []
    // The first comes before sockets are looked at again, the second after.
    setImmediate(() => {
      batch = null
      setImmediate(() => {
        for (const [request, response] of opened) if (!hasLeft(request)) listener(request, response)
      })
    })
    return opened
  }
}

/** Also who closed one half only: Node's HTTP server answers no such client. */
const hasLeft = ({ socket }: IncomingMessage): boolean => socket.destroyed || socket.readableEnded
