/** The transport within one process: a function call, with copies so that nobody shares an object. */
import { fault } from '../../base/errors.ts'
import { after } from '../../base/time.ts'
import type { Call, Receiver, Transport } from '../../ports/transport.ts'
import { jsonCopy } from './json-copy.ts'

/** Who serves which service in this process. */
export class Receivers {
  readonly #receivers = new Map<string, Receiver>()
  closed = false

  serve(services: readonly string[], receiver: Receiver): void {
    for (const service of services) this.#receivers.set(service, receiver)
  }

  /** The receiver of a call that may still be delivered. */
  find({ intent, metadata }: Call): Receiver {
    if (this.closed) throw fault('UNAVAILABLE', 'the transport is closed')
    if (metadata.timeoutMs <= 0) throw fault('DEADLINE_EXCEEDED')
    const receiver = this.#receivers.get(intent.slice(0, intent.indexOf('.')))
    if (!receiver) throw fault('UNAVAILABLE', `no process serves '${intent}'`)
    return receiver
  }
}

export function withTimeout<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = after(timeoutMs, () => reject(fault('DEADLINE_EXCEEDED')))
    work.finally(cancel).then(resolve, reject)
  })
}

export function openMemoryTransport(): Transport {
  const receivers = new Receivers()
  return {
    open: async () => {},
    close: async () => { receivers.closed = true },
    serve: (services, receiver) => receivers.serve(services, receiver),
    async call(call) {
      const receiver = receivers.find(call)
      const answer = await withTimeout(call.metadata.timeoutMs, receiver({ ...call, input: jsonCopy(call.input, 'input') }))
      return { ...answer, output: jsonCopy(answer.output, 'output') }
    },
  }
}
