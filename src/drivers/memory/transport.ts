/** The transport within one process: a function call, with copies so that nobody shares an object. */
import { Deadline } from '../../base/deadline.ts'
import { fault, isTenfoldError } from '../../base/errors.ts'
import type { TenfoldError } from '../../base/errors.ts'
import { JsonText } from '../../base/json-text.ts'
import type { Answer, Call, Caller, Receiver, Transport } from '../../ports/transport.ts'
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

/** A copy of the call that the callee may do with as it likes. What cannot be copied is the caller's fault. */
export function copyOfCall(call: Call): Call {
  const { metadata } = call
  try {
    return { ...call, input: jsonCopy(call.input, 'input'), metadata: { ...metadata, caller: jsonCopy(metadata.caller, 'caller') as Caller | null } }
  } catch (error) {
    throw fault('INVALID_INPUT', (error as Error).message, { cause: error })
  }
}

/** The callee's answer, copied; anything that it throws, and an output that is no JSON value, as an error of the table. */
export async function answerOf(receiver: Receiver, call: Call): Promise<Answer> {
  try {
    const answer = await receiver(call)
    // A text cannot be changed, so it needs no copy.
    return answer.output instanceof JsonText ? answer : { ...answer, output: jsonCopy(answer.output, 'output') }
  } catch (error) {
    throw known(error)
  }
}

/** A programming error shows nothing of itself to the caller; the cause is for the log. */
const known = (error: unknown): TenfoldError => isTenfoldError(error) ? error : fault('INTERNAL', undefined, { cause: error })

export function openMemoryTransport(): Transport {
  const receivers = new Receivers()
  return {
    open: async () => {},
    close: async () => { receivers.closed = true },
    serve: (services, receiver) => receivers.serve(services, receiver),
    async call(call) {
      const receiver = receivers.find(call)
      return new Deadline(call.metadata.timeoutMs).race(answerOf(receiver, copyOfCall(call)))
    },
  }
}
