/** The queue port's suite against a real NATS server. */
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { verify } from '../../src/conformance/check.ts'
import { queueSuite } from '../../src/conformance/queue.ts'
import { natsQueueDriver } from '../support/nats-drivers.ts'

const missing = skipWithout('nats')

for (const one of verify(queueSuite, natsQueueDriver())) test(one.name, { skip: missing || one.skip }, () => one.run())
