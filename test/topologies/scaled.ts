import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'

export default {
  about: 'For tests: one to three processes answer requests, another works in the background.',
  outgrow: 'One machine is too small.',
  users: [100, 1_000],
  processes: {
    web: { runs: 'everything', does: 'requests', replicas: { min: 1, max: 3 } },
    worker: { runs: 'everything', does: 'background', replicas: 1 },
  },
  ports: {
    database: { driver: 'postgres', embedded: true, settings: 'small' },
    cache: { driver: 'none' },
    broadcast: { driver: 'memory' },
    cdn: { driver: 'none' },
    queue: { driver: 'postgres', concurrency: 4 },
    bus: { driver: 'postgres' },
    lease: { driver: 'postgres' },
    rate: { driver: 'postgres' },
    transport: { driver: 'memory' },
    blobs: { driver: 'filesystem' },
    ingress: { driver: 'haproxy', port: 3000 },
    orchestrator: { driver: 'process' },
  },
} as const satisfies Topology<typeof app>
