/** Faults in declarations and topologies are found, with the place and the mend. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { application, service } from '../src/index.ts'
import { checkApplication } from '../src/model/manifest.ts'
import { checkTopology, planOf } from '../src/topology/plan.ts'
import type { Topology } from '../src/index.ts'
import monolith from '../examples/conduit/topologies/1-monolith.ts'

const any = { input: z.object({}), output: z.object({}) }
const run = async () => ({})

function faultsOf(build: (one: ReturnType<typeof service>) => Record<string, unknown>): string[] {
  const one = service('one')
  return checkApplication(application('test', { services: { one: { one, ...build(one) } } }))
}

test('an application without faults has none', () => {
  assert.deepEqual(faultsOf(one => ({ read: one.query({ ...any, http: 'GET /read', scatter: true, run }) })), [])
})

const faulty: [string, RegExp, (one: ReturnType<typeof service>) => Record<string, unknown>][] = [
  ['two intents on one route', /model\.test\.ts:\d+.*both answer 'GET \/a\/:y'/, one => ({ a: one.query({ ...any, http: 'GET /a/:x', scatter: true, run }), b: one.query({ ...any, http: 'GET /a/:y', scatter: true, run }) })],
  ['a command without a key', /a command needs a key/, one => ({ a: one.command({ ...any, run } as never) })],
  ['a query with neither key nor scatter', /needs a key or 'scatter: true'/, one => ({ a: one.query({ ...any, run }) })],
  ['an event that nobody exports', /an event that no service of this application exports/, one => ({ a: one.subscribe({ on: service('other').event(z.object({})), run: async () => {} }) })],
  ['an intent that is not exported', /is not exported by the service's module/, one => { one.event(z.object({})); return {} }],
  ['auth without authenticate', /has no authenticate/, one => ({ a: one.query({ ...any, scatter: true, auth: 'required', run }) })],
  ['a command behind GET', /which clients may repeat/, one => ({ a: one.command({ ...any, http: 'GET /a', key: () => 'a', run }) })],
]
for (const [what, message, build] of faulty) test(`found: ${what}`, () => { assert.match(faultsOf(build).join('\n'), message) })

test('intents below a mount are found, and two mounts at one place; at / it takes nothing from them', () => {
  const one = service('one')
  const read = one.query({ ...any, http: 'GET /old/read', scatter: true, run })
  const faults = (mounts: Record<`/${string}`, () => void>, assets = {}) => checkApplication(application('test', { services: { one: { one, read } }, mounts, assets }))
  assert.deepEqual(faults({ '/': () => {} }), [])
  for (const prefix of ['/old', '/old/'] as const) assert.match(faults({ [prefix]: () => {} }).join('\n'), /one\.read lies below '\/old'/)
  assert.match(faults({ '/': () => {} }, { '/': new URL('file:///nowhere/') }).join('\n'), /two mounts.*served at '\/'/)
})

test('a topology that cannot keep the invariants is refused (I10)', () => {
  const one = service('one')
  const app = application('test', { services: { one: { one } } })
  const two: Topology = { ...monolith, processes: { app: { runs: 'everything', does: 'everything', replicas: 2 } }, ports: { ...monolith.ports, cache: { driver: 'memory', bytesMax: 1_000_000 } } }
  assert.deepEqual(checkTopology(app, monolith as Topology), [])
  assert.match(checkTopology(app, two).join('\n'), /no invalidation between them/)
  assert.match(checkTopology(app, { ...monolith, processes: { app: { runs: ['tow'], does: 'everything', replicas: 1 } } }).join('\n'), /runs 'tow', which the application does not have; it has one[\s\S]*no process runs 'one'/)
})

test('a topology whose processes leave work undone is refused', () => {
  const app = application('test', { services: { } })
  const faultsOf = (processes: Topology['processes'], cache: Topology['ports']['cache'] = { driver: 'none' }) => checkTopology(app, { ...monolith, processes, ports: { ...monolith.ports, cache } }).join('\n')
  const web = { runs: 'everything', does: 'requests', replicas: 'cores' } as const
  const worker = { runs: 'everything', does: 'background', replicas: 1 } as const
  assert.equal(faultsOf({ web, worker }), '')
  assert.match(faultsOf({ web }), /no process delivers events and runs jobs/)
  assert.match(faultsOf({ worker }), /no process answers requests/)
  assert.match(faultsOf({ app: { runs: 'everything', replicas: 1 } as never }), /does is undefined; write one of 'everything', 'requests', 'background'/)
  assert.match(faultsOf({ web: { ...web, does: 'everything' } }, { driver: 'memory', bytesMax: 1_000_000 }), /no invalidation between them/)
})

test('a plan counts the processes that share the engines', () => {
  const app = application('test', { services: { } })
  const plan = planOf(app, 'test', { ...monolith, processes: { web: { runs: 'everything', does: 'requests', replicas: 'cores' }, worker: { runs: 'everything', does: 'background', replicas: 2 } } }, 6)
  assert.deepEqual([plan.processCount, plan.processes.map(one => `${one.name} ${one.does} ${one.replicas}`)], [8, ['web requests 6', 'worker background 2']])
})
