/** A suite that passes a broken driver is worth nothing: each fault must fail the checks that are about it. */
import assert from 'node:assert/strict'
import test from 'node:test'
import { failures, verify } from '../../src/conformance/check.ts'
import { databaseSuite } from '../../src/conformance/database.ts'
import { leaseSuite } from '../../src/conformance/lease.ts'
import { databaseDriver, leaseDriver } from '../support/postgres-drivers.ts'
import { acknowledgesBeforeCommit, forgetsAnswers, forgetsBucket, forgetsFailures, forgetsInbox, frozenPosition, neverEnters, neverRefuses, outlivesTransactions, refusesWhileAway, tellsTooEarly } from './broken/database.ts'
import { believesAnyToken, grantsTwice, noticesNoLoss } from './broken/lease.ts'

const databases = [
  [acknowledgesBeforeCommit, 'a failure that the work swallowed still rejects'],
  [forgetsAnswers, 'what another call has remembered first is not done again, though nobody waits to hear that'],
  [forgetsBucket, 'a row of another bucket is refused on insert, update and delete'],
  [forgetsInbox, 'an inbox passes each message once per consumer'],
  [forgetsFailures, 'what fails without anybody waiting fails the transaction, with its own error'],
  [frozenPosition, 'a position covers what was acknowledged and grows'],
  [neverEnters, 'what follows enter belongs to the bucket entered, and only to it'],
  [neverRefuses, 'while connections are short, who may be refused is refused soon; the others wait and get theirs'],
  [outlivesTransactions, 'a statement that comes after the end is refused, and changes nothing'],
  [refusesWhileAway, 'while none is given back, everybody waits: the server may be away'],
  [tellsTooEarly, 'a transaction tells a position that covers it, and none before it has committed'],
] as const
const leases = [
  [grantsTwice, 'a held name is not granted again, to anyone'],
  [believesAnyToken, 'each grant has a larger token, and only the newest is current'],
  [noticesNoLoss, 'a cut connection loses the lease, and another gets it'],
] as const

for (const [wrap, check] of databases) {
  test(`database · ${wrap.name} fails '${check}'`, { timeout: 60_000 }, async () => {
    const cases = verify(databaseSuite, databaseDriver(wrap.name, wrap)).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`database · ${wrap.name} · ${check}`])
  })
}

const shared = [
  ['claim', 'claims of another service cannot be read or written'],
  ['inbox', 'the inbox of another service cannot be read or written, and does not meet the own one'],
  ['idempotency', 'answers of another service cannot be read or written, and do not meet the own ones'],
  ['outbox', 'the outbox cannot be read, and takes events of the own service only'],
] as const
for (const [table, check] of shared) {
  test(`database · without row level security on ${table} fails '${check}'`, { timeout: 60_000 }, async () => {
    const driver = databaseDriver('shared', undefined, `ALTER TABLE tenfold.${table} DISABLE ROW LEVEL SECURITY`)
    const cases = verify(databaseSuite, driver).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`database · shared · ${check}`])
  })
}

for (const [wrap, check] of leases) {
  test(`lease · ${wrap.name} fails '${check}'`, { timeout: 60_000 }, async () => {
    const cases = verify(leaseSuite, leaseDriver(wrap.name, wrap)).filter(one => one.name.endsWith(check))
    assert.deepEqual(await failures(cases), [`lease · ${wrap.name} · ${check}`])
  })
}
