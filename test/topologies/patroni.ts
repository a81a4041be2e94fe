import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'
import twoProcesses from './two-processes.ts'

export default {
  ...twoProcesses,
  about: 'For tests: three servers that somebody else keeps, whichever of them is the primary.',
  ports: {
    ...twoProcesses.ports,
    database: { driver: 'postgres', url: { env: 'DATABASE_A_URL' }, replicaUrls: [{ env: 'DATABASE_B_URL' }, { env: 'DATABASE_C_URL' }], connections: { read: 2, write: 4 } },
  },
} as const satisfies Topology<typeof app>
