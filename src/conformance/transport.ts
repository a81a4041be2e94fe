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
  'the callee gets a caller of its own': async ({ transport }) => {
    transport.serve(['one'], async ({ metadata }) => { (metadata.caller!.roles as string[]).push('admin'); return { output: null } })
    const one = call('one.rise', {})
    const caller = { id: 'jane', roles: [] }
    await transport.call({ ...one, metadata: { ...one.metadata, caller } })
    assert.deepEqual(caller.roles, [])
  },
  'what JSON cannot carry is refused': async ({ transport }) => {
    transport.serve(['one'], async () => ({ output: null }))
    for (const value of [new Date(0), new Map(), () => 1, 1n, Number.NaN]) assert.equal(await codeOf(transport.call(call('one.take', { value }))), 'INVALID_INPUT')
  },
  'a value that contains itself is refused': async ({ transport }) => {
    transport.serve(['one'], async () => ({ output: null }))
    const circle: Record<string, unknown> = {}
    circle.list = [circle]
    assert.equal(await codeOf(transport.call(call('one.take', circle))), 'INVALID_INPUT')
  },
  'an output that JSON cannot carry is a fault of the callee': async ({ transport }) => {
    transport.serve(['one'], async () => ({ output: { at: new Date(0) } }))
    assert.equal(await codeOf(transport.call(call('one.give', {}))), 'INTERNAL')
  },
  'what is no refusal arrives as INTERNAL, its cause for the log only': async ({ transport }) => {
    transport.serve(['one'], async () => { throw new TypeError('secret of the callee') })
    const error = await transport.call(call('one.break', {})).then(() => null, (reason: unknown) => reason)
    assert.ok(isTenfoldError(error))
    assert.deepEqual([error.code, error.message, (error.cause as Error).message], ['INTERNAL', fault('INTERNAL').message, 'secret of the callee'])
  },
  'a refusal keeps code, message, fields, issues and retryAfterMs': async ({ transport }) => {
    const details = { fields: { name: ['taken'] }, issues: [{ path: ['a', 0], message: 'odd' }], retryAfterMs: 7 }
    transport.serve(['one'], async () => { throw fault('CONFLICT', 'no', details) })
    const error = await transport.call(call('one.refuse', {})).then(() => null, (reason: unknown) => reason)
    assert.ok(isTenfoldError(error))
    assert.deepEqual([error.code, error.message, error.fields, error.issues, error.retryAfterMs], ['CONFLICT', 'no', details.fields, details.issues, 7])
  },
  'a call without time left is not delivered': async ({ transport }) => {
    let delivered = 0
    transport.serve(['one'], async () => { delivered++; return { output: null } })
    assert.equal(await codeOf(transport.call(call('one.late', {}, { timeoutMs: 0 }))), 'DEADLINE_EXCEEDED')
    assert.equal(delivered, 0)
  },
  'a callee that takes too long is given up': async ({ transport }) => {
    const over = new AbortController()
    transport.serve(['one'], async () => { await sleep(3_000, over.signal); return { output: null } })
    assert.equal(await codeOf(transport.call(call('one.slow', {}, { timeoutMs: 20 }))), 'DEADLINE_EXCEEDED')
    over.abort()
  },
  'only what may be repeated is repeated': async ({ transport }) => {
    let delivered = 0
    transport.serve(['one'], async () => { delivered++; return { output: null } })
    await transport.call(call('one.once', {}))
    assert.equal(delivered, 1)
  },
  'repeats share the time of the call': async ({ transport }) => {
    const times: number[] = []
    transport.serve(['one'], async ({ metadata }) => { times.push(metadata.timeoutMs); await sleep(40); return { output: null } })
    await transport.call(call('one.again', {}, { repeatable: true, timeoutMs: 5_000 }))
    // A timer may fire a little early by another clock.
    for (const [index, timeMs] of times.entries()) assert.ok(timeMs <= 5_000 - index * 35, `the deliveries were given ${times.join(', ')} ms`)
  },
  'a service that nobody serves, and a closed transport, are unavailable': async ({ transport }) => {
    assert.equal(await codeOf(transport.call(call('none.here', {}))), 'UNAVAILABLE')
    transport.serve(['one'], async () => ({ output: null }))
    await transport.close()
    await transport.close()
    assert.equal(await codeOf(transport.call(call('one.echo', {}))), 'UNAVAILABLE')
  },
})
