import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'

export default {
  about: 'For tests: three servers that somebody else keeps, whichever of them is the primary.',
  outgrow: 'One machine is too small.',
  users: [100, 1_000],
  processes: {
    web: { runs: 'everything', does: 'requests', replicas: 2 },
    worker: { runs: 'everything', does: 'background', replicas: 1 },
  },
  ports: {
    database: { driver: 'postgres', url: { env: 'DATABASE_A_URL' }, replicaUrls: [{ env: 'DATABASE_B_URL' }, { env: 'DATABASE_C_URL' }], connections: { read: 2, write: 4 } },
    cache: { driver: 'none' },
    broadcast: { driver: 'memory' },
    cdn: { driver: 'none' },
    queue: { driver: 'postgres', concurrency: 4 },
    bus: { driver: 'postgres' },
    lease: { driver: 'postgres' },
    rate: { driver: 'postgres' },
    transport: { driver: 'memory' },
    blobs: { driver: 'filesystem' },
    ingress: { driver: 'http', port: 3000 },
    orchestrator: { driver: 'process' },
  },
} as const satisfies Topology<typeof app>
