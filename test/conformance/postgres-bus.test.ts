/** The bus port's suite against the real Postgres. */
import { test } from 'node:test'
import { busSuite } from '../../src/conformance/bus.ts'
import { verify } from '../../src/conformance/check.ts'
import { busDriver } from '../support/bus-queue-drivers.ts'

for (const one of verify(busSuite, busDriver())) test(one.name, { skip: one.skip }, () => one.run())
