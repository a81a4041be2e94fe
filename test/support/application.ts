/** Boots an application within the test's own process, on a scratch database: the real runtime, without a deployment around it. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/log.ts'
import type { Logger } from '../../src/base/log.ts'
import { boot } from '../../src/boot/boot.ts'
import type { Running } from '../../src/boot/boot.ts'
import type { Application, Topology } from '../../src/index.ts'
import monolith from '../../examples/conduit/topologies/1-monolith.ts'
import { scratchPostgres } from './postgres.ts'

export interface BootedApplication extends Running {
  /** Stops it and drops its database. */
  close(): Promise<void>
}

export interface BootApplicationOptions {
  readonly transport?: Topology['ports']['transport']
  readonly sessions?: Topology['ports']['sessions']
  readonly log?: Logger
}

export async function bootApplication(app: Application, options: BootApplicationOptions = {}): Promise<BootedApplication> {
  const scratch = await scratchPostgres()
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-booted-'))
  const topology: Topology = { ...monolith, ports: { ...monolith.ports, transport: options.transport ?? { driver: 'memory' }, ...options.sessions ? { sessions: options.sessions } : {} } }
  try {
    const running = await boot({ app, topology, databaseUrl: scratch.url, dataFolder: folder, secret: Buffer.alloc(32), log: options.log ?? silentLogger, host: '127.0.0.1', port: 0 })
    return { ...running, close: async () => { await running.stop(); await scratch.close(); await rm(folder, { recursive: true, force: true }) } }
  } catch (error) {
    await scratch.close()
    throw error
  }
}
