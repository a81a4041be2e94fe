/** The HTTP ingress against its suite, and ingresses with one fault each, which the suite must find. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { test } from 'node:test'
import { limits } from '../../src/base/limits.ts'
import { silentLogger } from '../../src/base/log.ts'
import { sleep } from '../../src/base/time.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { ingressSuite } from '../../src/conformance/ingress.ts'
import { openHttpIngress } from '../../src/drivers/http/ingress.ts'
import type { HttpAnswer, Ingress, IngressHandler, Listening } from '../../src/ports/ingress.ts'
import {
  admissionsInOrder, credulous, drainsInSilence, dropsRunning, endsOnlyAnswers, endsWithTheClient, firstMountWins, forgetsMounts, leavesBusyOpen, neverEmpty, newSignalEachTime, patternForPath, refusesHead,
  rootShadows,
} from './broken/ingress.ts'

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

/** The same ingress on a socket that a supervisor has bound. */
const shared: Ingress = { async listen(options) {
  const probe = net.createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as net.AddressInfo
  await new Promise(resolve => probe.close(resolve))
  const listening = await real.listen({ ...options, port, handedDown: true })
  await listening.accept((net as unknown as { _createServerHandle(address: string, port: number, family: number): object })._createServerHandle('127.0.0.1', port, 4))
  return listening
} }

for (const one of verify(ingressSuite, driver('http, shared socket', shared))) test(one.name, { skip: one.skip }, one.run)

test('an ingress that looks at its time-outs too seldom is found', async () => {
  const seldom = openHttpIngress({ log: silentLogger, times: { ...times, connectionsCheckingIntervalMs: 30_000 } })
  const cases = verify(ingressSuite, driver('seldom', seldom)).filter(one => one.name.endsWith('slow headers are cut off'))
  assert.equal((await failures(cases)).length, 1)
})

const faults: readonly [(ingress: Ingress) => Ingress, string][] = [
  [newSignalEachTime, 'the signal is one, and aborts when the client leaves, also for who looks later'],
  [patternForPath, 'a request arrives with parameters, query and body'],
  [credulous, 'a path parameter is never empty'],
  [credulous, 'a body in pieces is one, and one that is not UTF-8 never reaches the handler'],
  [admissionsInOrder, 'each request ends with the admission it was given'],
  [endsOnlyAnswers, 'requests whose client leaves end once, while the body comes and when they wait in line'],
  [endsWithTheClient, 'what still runs for a client that has gone has not ended'],
  [refusesHead, 'HEAD is GET without the body'],
  [neverEmpty, '204 and 304 have neither body nor content-type'],
  [firstMountWins, 'of several mounts the longest prefix wins'],
  [rootShadows, 'a mount at / gets what nothing else answers, with its body'],
  [forgetsMounts, 'drain waits for mounted requests too'],
  [leavesBusyOpen, 'drain cuts what still runs when its grace is over'],
  [drainsInSilence, 'drain finishes what runs and resets nobody'],
  [dropsRunning, 'drain finishes what runs and resets nobody'],
]

// At the same time: most of them wait until nothing comes.
test('faults are found', { concurrency: true }, async t => {
  await Promise.all(faults.map(([wrap, check]) => t.test(`${wrap.name} fails '${check}'`, async () => {
    const cases = verify(ingressSuite, driver(wrap.name, wrap(real))).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`ingress · ${wrap.name} · ${check}`])
  })))
})

test('while much runs, nothing is begun for a client that has gone already', async context => {
  let admitted = 0
  const blocked = Promise.withResolvers<HttpAnswer>()
  const handler: IngressHandler = {
    admit: () => { admitted++; return { refusal: null } },
    ended: () => {}, refuse: () => ({ status: 404, headers: {}, body: null }),
    handle: () => blocked.promise,
  }
  const listening = await real.listen({ host: '127.0.0.1', port: 0, routes: [{ method: 'GET', path: '/', name: 'get', bodyBytesMax: 1 }], mounts: [], corsOrigins: [], handler })
  context.after(() => listening.close())
  const ask = async (): Promise<net.Socket> => {
    const socket = net.connect(listening.port, '127.0.0.1').on('error', () => {})
    await once(socket, 'connect')
    await new Promise(resolve => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n', resolve))
    return socket
  }
  const busy = await Promise.all(Array.from({ length: limits.concurrencyMin }, ask))
  while (admitted < busy.length) await sleep(5)
  // In one process with the server: these leave before it has looked at them.
  const leaving = Array.from({ length: 8 }, () => spawnSync(process.execPath, ['-e', `
    const socket = require('node:net').connect(${listening.port}, '127.0.0.1', () => socket.end('GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n', () => process.exit()))`]).status)
  assert.deepEqual(leaving, leaving.map(() => 0))
  await sleep(200)
  assert.equal(admitted, busy.length)
  const staying = await ask()
  while (admitted === busy.length) await sleep(5)
  assert.equal(admitted, busy.length + 1)
  blocked.resolve({ status: 200, headers: {}, body: 'fine' })
  assert.match(String((await once(staying, 'data'))[0]), /^HTTP\/1\.1 200/)
  for (const socket of [...busy, staying]) socket.destroy()
})
