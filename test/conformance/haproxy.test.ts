/** HAProxy against the suite of balancers, and HAProxys with faults, which the suite must find. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { balancerSuite } from '../../src/conformance/balancer.ts'
import { failures, verify } from '../../src/conformance/check.ts'
import { haproxyDriver } from '../support/haproxy.ts'

const skip = skipWithout('haproxy')

for (const one of verify(balancerSuite, haproxyDriver())) test(one.name, { skip: skip || one.skip || false }, () => one.run())

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
