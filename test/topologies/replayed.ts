import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'
import scaled from './scaled.ts'

export default {
  ...scaled,
  about: 'For tests: one to six processes with a fifth of a core each answer requests.',
  // The small server has too few connections for so many.
  ports: { ...scaled.ports, database: { driver: 'postgres', embedded: true, settings: 'machine' } },
  processes: { ...scaled.processes, web: { runs: 'everything', does: 'requests', replicas: { min: 1, max: 6 }, cpu: 0.2 } },
} as const satisfies Topology<typeof app>
