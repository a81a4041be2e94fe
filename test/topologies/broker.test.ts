/** What a topology with a broker may not be, each with its mend. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { application, service } from '../../src/index.ts'
import { checkTopology } from '../../src/topology/plan.ts'
import type { Ports } from '../../src/topology/topology.ts'
import monolith from '../../examples/conduit/topologies/1-monolith.ts'

const app = application('notebook', { services: { notes: { notes: service('notes') } } })
const faultsOf = (ports: Partial<Ports>): string => checkTopology(app, { ...monolith, ports: { ...monolith.ports, ...ports } }).join('\n')
const broker = { driver: 'nats', embedded: true, nodes: 1 } as const
const bus = { driver: 'nats', partitions: 4, bytesMax: 268_435_456 } as const

test('a bus or queue on NATS needs a broker, and a broker somebody to be there for', () => {
  assert.match(faultsOf({ bus, queue: { driver: 'nats', concurrency: 4 } }), /ports\.queue is on NATS, and there is no broker; set ports\.broker[\s\S]*ports\.bus is on NATS/)
  assert.match(faultsOf({ broker }), /a broker is there for nobody; leave ports\.broker out/)
  assert.equal(faultsOf({ broker, bus }), '')
  assert.equal(faultsOf({ broker, queue: { driver: 'nats', concurrency: 4 } }), '')
})

test('partitions and room are whole and enough', () => {
  for (const partitions of [0, 1.5, 65]) assert.match(faultsOf({ broker, bus: { ...bus, partitions } }), /ports\.bus\.partitions is .*; write a whole number from 1 to 64/)
  assert.match(faultsOf({ broker, bus: { ...bus, bytesMax: 1_000 } }), /ports\.bus\.bytesMax is 1000; write at least 1048576/)
})
