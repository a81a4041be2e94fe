import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'

export default {
  about: 'Topology 1 for tests: every call between services crosses as text and is repeated once.',
  outgrow: 'One core stays above 70 %, or a deploy may no longer pause requests.',
  users: [1, 100],
  processes: {
    app: { runs: 'everything', does: 'everything', replicas: 1 },
  },
  ports: {
    database: { driver: 'postgres', embedded: true, settings: 'small' },
    cache: { driver: 'none' },
    broadcast: { driver: 'memory' },
    cdn: { driver: 'none' },
    queue: { driver: 'postgres', concurrency: 4 },
    bus: { driver: 'postgres' },
    lease: { driver: 'postgres' },
    rate: { driver: 'memory' },
    transport: { driver: 'serialising', retries: 1 },
    blobs: { driver: 'filesystem' },
    ingress: { driver: 'http', port: 3000 },
    orchestrator: { driver: 'process' },
  },
} as const satisfies Topology<typeof app>
