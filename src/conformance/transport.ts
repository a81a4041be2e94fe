/** What every transport driver must do. */
import assert from 'node:assert/strict'
import { fault, isTenfoldError } from '../base/errors.ts'
import type { ErrorCode } from '../base/errors.ts'
import { sleep } from '../base/time.ts'
import type { Answer, Call, Transport } from '../ports/transport.ts'
import { suite } from './check.ts'

export interface TransportSubject { readonly transport: Transport }

const call = (intent: string, input: unknown, more: Partial<Call> & { timeoutMs?: number } = {}): Call => ({
  intent, input, repeatable: false, ...more,
  metadata: { timeoutMs: more.timeoutMs ?? 1_000, traceparent: '00-1', requestId: 'r', caller: { id: 'jane' }, depth: 1, priority: 'normal', idempotencyKey: 'k', token: 't' },
})

async function codeOf(work: Promise<unknown>): Promise<ErrorCode | null> {
  const error = await work.then(() => null, (reason: unknown) => reason)
  return isTenfoldError(error) ? error.code : null
}

export const transportSuite = suite<TransportSubject>('transport', {
  'input, answer and metadata arrive as they were': async ({ transport }) => {
    let seen: Call | undefined
    transport.serve(['one'], async received => { seen = received; return { output: { echo: received.input }, token: 't2' } })
    const input = { text: 'ä\u0000💡', list: [1, null, { deep: true }], number: 1.5 }
    assert.deepEqual(await transport.call(call('one.echo', input)), { output: { echo: input }, token: 't2' })
    assert.deepEqual(seen?.metadata, call('one.echo', input).metadata)
  },
  'callee and caller share no object': async ({ transport }) => {
    const kept = { list: [1] }
    transport.serve(['one'], async ({ input }) => { (input as typeof kept).list.push(2); return { output: kept } })
    const input = { list: [1] }
    const { output } = await transport.call(call('one.change', input)) as Answer & { output: typeof kept }
    output.list.push(3)
    assert.deepEqual([input, kept], [{ list: [1] }, { list: [1] }])
  },
  'what JSON cannot carry is refused': async ({ transport }) => {
    transport.serve(['one'], async () => ({ output: null }))
    for (const value of [new Date(0), new Map(), () => 1, 1n, Number.NaN]) assert.equal(await codeOf(transport.call(call('one.take', { value }))), 'INVALID_INPUT')
  },
  'a refusal keeps code, message, fields and issues': async ({ transport }) => {
    const details = { fields: { name: ['taken'] }, issues: [{ path: ['a', 0], message: 'odd' }] }
    transport.serve(['one'], async () => { throw fault('CONFLICT', 'no', details) })
    const error = await transport.call(call('one.refuse', {})).then(() => null, (reason: unknown) => reason)
    assert.ok(isTenfoldError(error))
    assert.deepEqual([error.code, error.message, error.fields, error.issues], ['CONFLICT', 'no', details.fields, details.issues])
  },
  'a call without time left is not delivered': async ({ transport }) => {
    let delivered = 0
    transport.serve(['one'], async () => { delivered++; return { output: null } })
    assert.equal(await codeOf(transport.call(call('one.late', {}, { timeoutMs: 0 }))), 'DEADLINE_EXCEEDED')
    assert.equal(delivered, 0)
  },
  'a callee that takes too long is given up': async ({ transport }) => {
    transport.serve(['one'], async () => { await sleep(200); return { output: null } })
    assert.equal(await codeOf(transport.call(call('one.slow', {}, { timeoutMs: 20 }))), 'DEADLINE_EXCEEDED')
  },
  'only what may be repeated is repeated': async ({ transport }) => {
    let delivered = 0
    transport.serve(['one'], async () => { delivered++; return { output: null } })
    await transport.call(call('one.once', {}))
    assert.equal(delivered, 1)
  },
  'a service that nobody serves, and a closed transport, are unavailable': async ({ transport }) => {
    assert.equal(await codeOf(transport.call(call('none.here', {}))), 'UNAVAILABLE')
    transport.serve(['one'], async () => ({ output: null }))
    await transport.close()
    await transport.close()
    assert.equal(await codeOf(transport.call(call('one.echo', {}))), 'UNAVAILABLE')
  },
})
