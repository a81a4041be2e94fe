/** The inspection port's suite against the real Postgres, and against drivers that are wrong on purpose. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failures, verify } from '../../src/conformance/check.ts'
import { inspectionSuite } from '../../src/conformance/inspection.ts'
import { inspectionDriver } from '../support/inspection-driver.ts'
import { countsTheRuntime, forgetsToDrop, seesNoScan } from './broken/inspection.ts'

for (const one of verify(inspectionSuite, inspectionDriver())) test(one.name, { timeout: 60_000 }, () => one.run())

const broken = [
  [forgetsToDrop, 'a proof shows what the index buys, and leaves none behind'],
  [seesNoScan, 'a scan by a condition, and none where an index answers'],
  [countsTheRuntime, 'the runtime\'s own statements are left out'],
] as const

for (const [wrap, check] of broken) {
  test(`inspection · ${wrap.name} fails '${check}'`, { timeout: 60_000 }, async () => {
    const cases = verify(inspectionSuite, inspectionDriver(wrap.name, wrap)).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`inspection · ${wrap.name} · ${check}`])
  })
}
