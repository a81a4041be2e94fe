/** The outbox port's suite against the real Postgres, and that it finds what breaks the contract on purpose. */
import { test } from 'node:test'
import { verify } from '../../src/conformance/check.ts'
import { outboxSuite } from '../../src/conformance/outbox.ts'
import { outboxDriver } from '../support/bus-queue-drivers.ts'

for (const one of verify(outboxSuite, outboxDriver())) test(one.name, { skip: one.skip }, () => one.run())
