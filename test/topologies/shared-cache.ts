/** Topologies for tests: two processes answer requests, and share a Redis. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import type { Topology } from '../../src/index.ts'
import type { app } from '../../examples/conduit/app.ts'
import twoProcesses from './two-processes.ts'

/** Patient where a test counts what a busy machine must not change. */
export const sharedCacheTopology = (callMs: number) => ({
  ...twoProcesses,
  ports: {
    ...twoProcesses.ports,
    redis: { embedded: true, memoryBytesMax: 67_108_864, callMs },
    cache: { driver: 'redis', bytesMax: 16_777_216 }, broadcast: { driver: 'postgres' }, rate: { driver: 'redis' },
  },
} as const satisfies Topology<typeof app>)

export interface TopologyFile { readonly file: string; remove(): Promise<void> }

export async function sharedCacheFile(callMs: number): Promise<TopologyFile> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-shared-'))
  const file = path.join(folder, 'shared-cache.ts')
  await writeFile(file, `export default ${JSON.stringify(sharedCacheTopology(callMs))}\n`)
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}
