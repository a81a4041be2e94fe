/**
 * A transport for tests: every call, answer and error crosses as JSON text, as over a
 * network, and what may be repeated is repeated, so that an intent which only works in
 * process, or only once, is found on a laptop.
 */
import { Deadline } from '../../base/deadline.ts'
import { errorTable, fault } from '../../base/errors.ts'
import type { ErrorCode, Issue, TenfoldError } from '../../base/errors.ts'
import type { Answer, Call, Receiver, Transport } from '../../ports/transport.ts'
import { answerOf, copyOfCall, Receivers } from './transport.ts'

interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly fields?: Record<string, string[]>
  readonly issues?: Issue[]
  readonly retryAfterMs?: number
  /** What lies behind it, for the caller's log. */
  readonly cause?: { readonly message: string; readonly stack?: string }
}

interface Wire { readonly answer?: Answer; readonly error?: WireError }

export function openSerialisingTransport(options: { readonly retries: number }): Transport {
  const receivers = new Receivers()
  return {
    open: async () => {},
    close: async () => { receivers.closed = true },
    serve: (services, receiver) => receivers.serve(services, receiver),
    async call(call) {
      receivers.find(call)
      const copy = copyOfCall(call)
      // All repeats share the time of the one call.
      const deadline = new Deadline(call.metadata.timeoutMs)
      const sends = call.repeatable ? options.retries + 1 : 1
      let response = ''
      for (let sent = 0; sent < sends; sent++) {
        const timeoutMs = sent === 0 ? call.metadata.timeoutMs : deadline.remainingMs()
        const request: Call = { ...copy, metadata: { ...copy.metadata, timeoutMs } }
        response = await deadline.race(deliver(receivers.find(request), JSON.stringify(request)))
      }
      return receive(response)
    },
  }
}

async function deliver(receiver: Receiver, request: string): Promise<string> {
  try {
    return JSON.stringify({ answer: await answerOf(receiver, JSON.parse(request) as Call) } satisfies Wire)
  } catch (error) {
    const { code, message, fields, issues, retryAfterMs, cause } = error as TenfoldError
    return JSON.stringify({ error: { code, message, fields, issues, retryAfterMs, cause: cause instanceof Error ? { message: cause.message, stack: cause.stack } : undefined } })
  }
}

function receive(response: string): Answer {
  const { answer, error } = JSON.parse(response) as Wire
  if (!error) return answer!
  const { code, message, fields, issues, retryAfterMs, cause } = error
  throw fault(code in errorTable ? code : 'INTERNAL', message, { fields, issues, retryAfterMs, cause: cause && Object.assign(new Error(cause.message), { stack: cause.stack }) })
}
