/** HAProxy against the suites of balancers and of measurements, and HAProxys with faults, which the first must find. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { balancerMeasurements } from '../../src/boot/balancer.ts'
import { skipWithout } from '../../scripts/engines.ts'
import { balancerSuite } from '../../src/conformance/balancer.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { measurementsSuite } from '../../src/conformance/measurements.ts'
import type { MeasurementsSubject } from '../../src/conformance/measurements.ts'
import { haproxyDriver, scratchHaproxy } from '../support/haproxy.ts'

const skip = skipWithout('haproxy')

for (const one of verify(balancerSuite, haproxyDriver())) test(one.name, { skip: skip || one.skip || false }, () => one.run())

const measurementsDriver: Driver<MeasurementsSubject> = {
  name: 'haproxy', faults: ['hang'],
  async open() {
    const { balancer, close } = await scratchHaproxy()
    const subject: MeasurementsSubject = {
      // One for each question, closed with its answer.
      measurements: balancerMeasurements(balancer), connections: async () => 0,
      hang: async () => {
        const pid = balancer.pid!
        process.kill(pid, 'SIGSTOP')
        return async () => { process.kill(pid, 'SIGCONT') }
      },
    }
    return { subject, close }
  },
}

for (const one of verify(measurementsSuite, measurementsDriver)) test(one.name, { skip: skip || one.skip || false }, () => one.run())

test('nodes are told by state, requests as they are counted', { skip }, async t => {
  const { balancer, close } = await scratchHaproxy()
  t.after(close)
  const server = http.createServer((_, response) => { response.end('fine') }).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  t.after(() => { server.closeAllConnections(); server.close() })
  const { port } = server.address() as AddressInfo
  for (const name of ['web-0-1', 'web-1-2']) await balancer.add({ name, host: '127.0.0.1', port })
  await balancer.drain('web-1-2', 5_000)
  for (let times = 0; times < 3; times++) assert.equal(await (await fetch(`http://127.0.0.1:${balancer.port}/`)).text(), 'fine')
  const told = new Map((await balancerMeasurements(balancer).read(5_000)).flatMap(({ name, samples }) => samples.map(sample => [[name, ...Object.values(sample.labels)].join(' '), 'value' in sample ? sample.value : null] as const)))
  assert.deepEqual(Object.fromEntries(told), {
    'tenfold_balancer_nodes up': 1, 'tenfold_balancer_nodes draining': 1, 'tenfold_balancer_nodes down': 0, 'tenfold_balancer_nodes ejected': 0,
    tenfold_balancer_requests_total: 3, tenfold_balancer_repeated_total: 0, tenfold_balancer_waiting: 0,
  })
})

/** Of the checks that are about what is broken; the others would only take their time. */
const failed = async (driver: ReturnType<typeof haproxyDriver>, pattern: RegExp) =>
  (await failures(verify(balancerSuite, driver).filter(one => pattern.test(one.name)))).map(name => name.split(' · ')[2])

test('a balancer that goes on asking a node that drains is found', { skip }, async () => {
  assert.deepEqual(await failed(haproxyDriver('broken', () => ({ async drain() {} })), /drains finishes|draining/), ['a node that drains finishes what it has and gets nothing new', 'draining gives up after its grace'])
})

test('a balancer that remembers what was removed is found', { skip }, async () => {
  assert.deepEqual(await failed(haproxyDriver('broken', () => ({ async remove() {} })), /was removed/), ['a node that was removed is asked for nothing'])
})

test('a balancer that repeats no commands is found', { skip }, async () => {
  assert.deepEqual(await failed(haproxyDriver('broken', undefined, { foreignPrefixes: [''] }), /without an answer|own key/), [
    'a node that ends without an answer loses nobody a request, and commands are repeated under one key', "a client's own key stays, and every request has one of its own otherwise",
  ])
})

test('a balancer that does not watch for failing nodes is found', { skip }, async () => {
  assert.deepEqual(await failed(haproxyDriver('broken', undefined, { watchMs: 60_000 }), /far more often/), ['a node that fails far more often than the others gets nothing for a while, and is trusted again'])
})
