/**
 * A deployment for the tests of an application: the real engines, in a data folder and on
 * a port of its own, removed when it stops.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createLogger } from '../base/log.ts'
import { deploy } from '../boot/deployment.ts'
import { findTopology } from '../boot/load.ts'

export interface TestDeployment {
  readonly url: string
  /** Stops everything and removes the data. */
  stop(): Promise<void>
}

export interface TestDeploymentOptions {
  /** One of the folder topologies beside the application. Default 1-monolith. */
  readonly topology?: string
  /** Environment of the application's processes, beside that of the test. */
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the application of this file (`new URL('../app.ts', import.meta.url)`) and resolves once it answers. */
export async function startTestDeployment(app: URL | string, options: TestDeploymentOptions = {}): Promise<TestDeployment> {
  const appFile = app instanceof URL ? fileURLToPath(app) : path.resolve(app)
  const { name, file } = await findTopology(appFile, options.topology ?? '1-monolith')
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-test-'))
  // Started by root, Postgres runs as another user, who must be able to walk here.
  await chmod(dataFolder, 0o755)
  const remove = () => rm(dataFolder, { recursive: true, force: true })
  const log = createLogger({ level: process.env.LOG_LEVEL ?? 'warn' })
  try {
    const deployment = await deploy({
      appFile, topologyName: name, topologyFile: file, dataFolder, host: '127.0.0.1', port: await freePort(), log,
      env: { LOG_LEVEL: process.env.LOG_LEVEL ?? 'warn', TENFOLD_DATA: dataFolder, ...options.env },
    })
    return { url: deployment.url, stop: () => deployment.stop().finally(remove) }
  } catch (error) {
    await remove()
    throw error
  }
}

const freePort = (): Promise<number> => new Promise((resolve, reject) => {
  const probe = net.createServer().once('error', reject)
  probe.listen(0, '127.0.0.1', () => {
    const { port } = probe.address() as net.AddressInfo
    probe.close(() => resolve(port))
  })
})
