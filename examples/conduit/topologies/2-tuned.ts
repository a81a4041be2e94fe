import type { Topology } from 'tenfold'
import type { app } from '../app.ts'

export default {
  about: 'A process on every core answers requests, and keeps answers until what they show has changed; another works in the background.',
  outgrow: 'The machine stays above 70 %, or its failure may no longer stop the product.',
  users: [100, 1_000],
  processes: {
    web: { runs: 'everything', does: 'requests', replicas: 'cores' },
    worker: { runs: 'everything', does: 'background', replicas: 1 },
  },
  ports: {
    database: { driver: 'postgres', embedded: true, settings: 'machine' },
    cache: { driver: 'memory', bytesMax: 67_108_864 },
    broadcast: { driver: 'postgres' },
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
