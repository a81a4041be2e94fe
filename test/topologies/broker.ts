import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'

export default {
  about: 'For tests: one process answers requests, another works in the background, events and jobs go over a broker.',
  outgrow: 'One machine is too small.',
  users: [100, 1_000],
  processes: {
    web: { runs: 'everything', does: 'requests', replicas: 1 },
    worker: { runs: 'everything', does: 'background', replicas: 1 },
  },
  ports: {
    database: { driver: 'postgres', embedded: true, settings: 'small' },
    cache: { driver: 'none' },
    broadcast: { driver: 'memory' },
    cdn: { driver: 'none' },
    broker: { driver: 'nats', embedded: true, nodes: 1 },
    queue: { driver: 'nats', concurrency: 4 },
    bus: { driver: 'nats', partitions: 2, bytesMax: 268_435_456 },
    lease: { driver: 'postgres' },
    rate: { driver: 'postgres' },
    transport: { driver: 'memory' },
    blobs: { driver: 'filesystem' },
    ingress: { driver: 'http', port: 3000 },
    orchestrator: { driver: 'process' },
  },
} as const satisfies Topology<typeof app>
