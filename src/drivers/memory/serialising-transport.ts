/**
 * A transport for tests: every call, answer and error crosses as JSON text, as over a
 * network, and what may be repeated is repeated, so that an intent which only works in
 * process, or only once, is found on a laptop.
 */
import { errorTable, fault, isTenfoldError } from '../../base/errors.ts'
import type { ErrorCode, Issue } from '../../base/errors.ts'
import type { Answer, Call, Receiver, Transport } from '../../ports/transport.ts'
import { jsonCopy } from './json-copy.ts'
import { Receivers, withTimeout } from './transport.ts'

interface Wire {
  readonly answer?: Answer
  readonly error?: { readonly code: ErrorCode; readonly message: string; readonly fields?: Record<string, string[]>; readonly issues?: Issue[] }
}

export function openSerialisingTransport(options: { readonly retries: number }): Transport {
  const receivers = new Receivers()
  return {
    open: async () => {},
    close: async () => { receivers.closed = true },
    serve: (services, receiver) => receivers.serve(services, receiver),
    async call(call) {
      const receiver = receivers.find(call)
      const request = JSON.stringify({ ...call, input: jsonCopy(call.input, 'input') })
      const sends = call.repeatable ? options.retries + 1 : 1
      let response = ''
      for (let sent = 0; sent < sends; sent++) response = await withTimeout(call.metadata.timeoutMs, deliver(receiver, request))
      return receive(response)
    },
  }
}

async function deliver(receiver: Receiver, request: string): Promise<string> {
  try {
    const { output, token } = await receiver(JSON.parse(request) as Call)
    return JSON.stringify({ answer: { output: jsonCopy(output, 'output'), token } } satisfies Wire)
  } catch (error) {
    const { code, message, fields, issues } = isTenfoldError(error) ? error : fault('INTERNAL', undefined, { cause: error })
    return JSON.stringify({ error: { code, message, fields, issues } })
  }
}

function receive(response: string): Answer {
  const { answer, error } = JSON.parse(response) as Wire
  if (error) throw fault(error.code in errorTable ? error.code : 'INTERNAL', error.message, { fields: error.fields, issues: error.issues })
  return answer!
}
