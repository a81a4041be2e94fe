/** The queue port's suite against the real Postgres. */
import { test } from 'node:test'
import { queueSuite } from '../../src/conformance/queue.ts'
import { verify } from '../../src/conformance/check.ts'
import { queueDriver } from '../support/bus-queue-drivers.ts'

for (const one of verify(queueSuite, queueDriver())) test(one.name, { skip: one.skip }, () => one.run())
