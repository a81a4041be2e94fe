/** The HTTP ingress against its suite, and ingresses with one fault each, which the suite must find. */
import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { ingressSuite } from '../../src/conformance/ingress.ts'
import { openHttpIngress } from '../../src/drivers/http/ingress.ts'
import type { Ingress, Listening } from '../../src/ports/ingress.ts'

const times = { headersTimeoutMs: 500, requestTimeoutMs: 2_000, keepAliveTimeoutMs: 5_000, connectionsCheckingIntervalMs: 100 }
/** Closes what a failing check left listening. */
const driver = (name: string, ingress: Ingress) => ({
  name,
  async open() {
    const listenings: Listening[] = []
    const tracked: Ingress = { listen: async options => { const one = await ingress.listen(options); listenings.push(one); return one } }
    return { subject: { ingress: tracked, headersTimeoutMs: times.headersTimeoutMs }, close: async () => { await Promise.all(listenings.map(one => one.close())) } }
  },
})
const real = openHttpIngress({ log: silentLogger, times })

for (const one of verify(ingressSuite, driver('http', real))) test(one.name, { skip: one.skip }, one.run)

/** The same ingress behind a listener that is not its own, as a supervisor hands connections down. */
const handedDown: Ingress = { async listen(options) {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  const listening = await real.listen({ ...options, port, handedDown: true })
  server.on('connection', connection => listening.take(connection))
  return { ...listening, drain: (graceMs, lingerMs) => { server.close(); return listening.drain(graceMs, lingerMs) }, close: () => { server.close(); return listening.close() } }
} }

for (const one of verify(ingressSuite, driver('http, handed down', handedDown))) test(one.name, { skip: one.skip }, one.run)

const found = (failed: readonly string[], check: string) => assert.ok(failed.some(name => name.endsWith(check)), `found only: ${failed.join(', ')}`)

test('an ingress that looks at its time-outs too seldom is found', async () => {
  const seldom = openHttpIngress({ log: silentLogger, times: { ...times, connectionsCheckingIntervalMs: 30_000 } })
  found(await failures(verify(ingressSuite, driver('broken', seldom))), 'slow headers are cut off')
})

test('an ingress that drops running requests is found', async () => {
  const abrupt: Ingress = { listen: async options => {
    const listening = await real.listen(options)
    return { ...listening, drain: () => listening.close() }
  } }
  found(await failures(verify(ingressSuite, driver('broken', abrupt))), 'drain finishes what runs and resets nobody')
})
