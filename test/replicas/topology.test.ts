/** What a topology may say of replicas, and how several servers become one address. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isTenfoldError } from '../../src/base/errors.ts'
import { givenUrl } from '../../src/boot/database.ts'
import { membersOf, urlAt, urlOfAll } from '../../src/drivers/postgres/members.ts'
import type { Topology } from '../../src/index.ts'
import { checkTopology, planOf } from '../../src/topology/plan.ts'
import { app } from '../../examples/conduit/app.ts'
import tuned from '../../examples/conduit/topologies/2-tuned.ts'

const withDatabase = (database: unknown): Topology => ({ ...tuned, ports: { ...tuned.ports, database } }) as Topology
const embedded = (more: object) => withDatabase({ driver: 'postgres', embedded: true, ...more })
const refusals = (topology: Topology) => checkTopology(app, topology).join('\n')

test('a plan has the replicas of its topology', () => {
  for (const [topology, replicas] of [[tuned, 0], [embedded({ replicas: 2, synchronous: 1 }), 2], [withDatabase({ driver: 'postgres', url: { env: 'A' }, replicaUrls: [{ env: 'B' }] }), 1]] as const) {
    assert.equal(refusals(topology), '')
    assert.equal(planOf(app, 'name', topology, 2).databases[0]!.replicas, replicas)
  }
})

test('a topology that makes no sense is refused, with the mend', () => {
  assert.match(refusals(embedded({ replicas: 2 })), /needs ports\.database\.synchronous: 1/)
  assert.match(refusals(embedded({ replicas: 1, synchronous: 2 })), /synchronous is 2; write a whole number from 0 to 1/)
  assert.match(refusals(embedded({ synchronous: 1 })), /from 0 to 0/)
  assert.match(refusals(embedded({ replicas: 1.5, synchronous: 1 })), /replicas is 1\.5/)
  assert.match(refusals(embedded({ replicas: -1, synchronous: 0 })), /replicas is -1/)
  assert.match(refusals(embedded({ replicaUrls: ['postgres://b'] })), /goes with a url/)
  assert.match(refusals(withDatabase({ driver: 'postgres', url: 'postgres://a', replicas: 2 })), /is for the embedded server/)
})

test('several servers are one address, whichever of them is the primary', t => {
  const url = 'postgres://owner:secret@one:5001/shop?sslmode=require'
  assert.equal(urlOfAll([url]), url)
  const all = urlOfAll([url, 'postgres://owner:secret@two/shop', 'postgres://owner:secret@two:5432,three:5003/shop'])
  assert.deepEqual(membersOf(all)!.addresses, [{ host: 'one', port: 5001 }, { host: 'two', port: 5432 }, { host: 'three', port: 5003 }])
  assert.equal(membersOf(all), membersOf(all.replace('owner:secret', 'other:one')), 'one view per process')
  assert.equal(membersOf(url), null)
  assert.equal(urlAt(all, { host: 'two', port: 5432 }), 'postgres://owner:secret@two:5432/shop?sslmode=require')
  const refuses = (urls: string[], pattern: RegExp) => assert.throws(() => urlOfAll(urls), (error: unknown) => isTenfoldError(error) && error.code === 'USAGE' && pattern.test(error.message) && !error.message.includes('secret'))
  refuses([url, 'postgres://owner:secret@two/other'], /different databases/)
  refuses([url, 'postgres://somebody@two/shop'], /different logins/)
  refuses([url, 'two:5432'], /not a url/)
  process.env.TENFOLD_TEST_REPLICA = 'postgres://owner:secret@two/shop'
  t.after(() => { delete process.env.TENFOLD_TEST_REPLICA })
  assert.equal(membersOf(givenUrl(url, [{ env: 'TENFOLD_TEST_REPLICA' }]))!.addresses.length, 2)
  assert.throws(() => givenUrl(url, [{ env: 'TENFOLD_TEST_NONE' }]), /TENFOLD_TEST_NONE, which is not set/)
})
