/** The bus port's suite against a real NATS server, and what only a broker can do to it. */
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { busSuite } from '../../src/conformance/bus.ts'
import { verify } from '../../src/conformance/check.ts'
import { natsBusDriver } from '../support/nats-drivers.ts'

const missing = skipWithout('nats')

for (const one of verify(busSuite, natsBusDriver())) test(one.name, { skip: missing || one.skip }, () => one.run())
