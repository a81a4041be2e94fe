/** Topology 3 as the example has it, with a fixed number of processes: what is to be counted must not be scaled meanwhile. */
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { skipWithout } from '../../scripts/engines.ts'
import scaledOut from '../../examples/conduit/topologies/3-scaled-out.ts'

/** Why it cannot run here, or false. */
export const skipScaledOut = skipWithout('haproxy') || skipWithout('redis') || skipWithout('nats')

/** A file of it; `ports` replaces some. */
export async function scaledOutFile(ports: object = {}): Promise<{ readonly file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-scaled-out-'))
  await chmod(folder, 0o755)
  const { web, worker } = scaledOut.processes
  const topology = { ...scaledOut, processes: { web: { ...web, replicas: 2 }, worker: { ...worker, replicas: 2 } }, ports: { ...scaledOut.ports, ...ports } }
  const file = path.join(folder, 'scaled-out.ts')
  await writeFile(file, `export default ${JSON.stringify(topology)}\n`)
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}
