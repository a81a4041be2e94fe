/** Runs an application as `tenfold start` does, in a folder and on ports of its own, for tests. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { chmod, rm } from 'node:fs/promises'
import path from 'node:path'
import { freePort } from './free-port.ts'
import { newDataFolder } from './new-data.ts'

const root = path.resolve(import.meta.dirname, '../..')
export const conduitFile = path.join(root, 'examples/conduit/app.ts')

export interface TestDeployment {
  readonly url: string
  readonly adminUrl: string
  readonly dataFolder: string
  /** The supervisor; it leads the application's process and Postgres. */
  readonly process: ChildProcess
  readonly output: () => string
  /** SIGTERM, and the exit code; the data stays. */
  end(): Promise<number | null>
  /** Ends it and removes its data. */
  close(): Promise<void>
}

export interface TestDeploymentOptions {
  readonly topology?: string
  readonly dataFolder?: string
  readonly port?: number
  readonly env?: Readonly<Record<string, string>>
  readonly appFile?: string
  /** With the process that waits to replace one that crashes: a second of a core, for tests of what is killed. */
  readonly standby?: boolean
}

export async function startDeployment(options: TestDeploymentOptions = {}): Promise<TestDeployment> {
  const dataFolder = options.dataFolder ?? await newDataFolder()
  // Postgres may run as another user, who must be able to walk here; else its data would go elsewhere.
  await chmod(dataFolder, 0o755)
  const [port, adminPort] = [options.port ?? await freePort(), await freePort()]
  const child = spawn(process.execPath, [path.join(root, 'src/cli/main.ts'), 'start', '--app', options.appFile ?? conduitFile, '--topology', options.topology ?? '1-monolith'], {
    cwd: root, stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PORT: String(port), ADMIN_PORT: String(adminPort), TENFOLD_DATA: dataFolder, LOG_LEVEL: 'warn', ...options.standby ? {} : { TENFOLD_STANDBY: 'off' }, ...options.env },
  })
  let output = ''
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve))
  const end = async () => { child.kill('SIGTERM'); return exited }
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer) => {
      output += data.toString()
      const ready = /^ready (\S+)$/m.exec(output)
      if (ready) resolve(ready[1]!)
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    void exited.then(code => reject(new Error(`the deployment ended with ${code} before it was ready:\n${output}`)))
  })
  return {
    url, adminUrl: `http://127.0.0.1:${adminPort}`, dataFolder, process: child, output: () => output, end,
    close: async () => {
      await end()
      await rm(dataFolder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
