import type { Topology } from 'tenfold'
import type { app } from '../app.ts'

export default {
  about: 'HAProxy gives each request to one of the processes, whose number follows the load; queries are read on replicas, kept answers are shared in Redis, events and jobs go through NATS.',
  outgrow: 'One primary can no longer take the writes, or one team can no longer know all services.',
  users: [1_000, 10_000],
  processes: {
    web: { runs: 'everything', does: 'requests', replicas: { min: 2, max: 6 } },
    worker: { runs: 'everything', does: 'background', replicas: { min: 1, max: 3 } },
  },
  ports: {
    database: { driver: 'postgres', embedded: true, settings: 'machine', replicas: 2, synchronous: 1 },
    redis: { embedded: true, memoryBytesMax: 134_217_728 },
    cache: { driver: 'redis', bytesMax: 67_108_864 },
    broadcast: { driver: 'postgres' },
    cdn: { driver: 'none' },
    broker: { driver: 'nats', embedded: true, nodes: 1 },
    queue: { driver: 'nats', concurrency: 4 },
    bus: { driver: 'nats', partitions: 4, bytesMax: 1_073_741_824 },
    lease: { driver: 'postgres' },
    rate: { driver: 'redis' },
    transport: { driver: 'memory' },
    blobs: { driver: 'filesystem' },
    ingress: { driver: 'haproxy', port: 3000 },
    orchestrator: { driver: 'process' },
  },
} as const satisfies Topology<typeof app>
