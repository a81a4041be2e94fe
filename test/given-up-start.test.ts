/** A start that is stopped before it is over: it ends in time, leaves nothing behind, and the next one finds all in order. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { monotonicMs, sleep } from '../src/base/time.ts'
import { isAlive, postmasterOf } from '../src/drivers/postgres/server-process.ts'
import { conduitFile, startDeployment } from './support/deployment.ts'
import { freePort } from './support/free-port.ts'
import { newDataFolder } from './support/new-data.ts'

const root = path.dirname(import.meta.dirname)

interface Begun { readonly process: ChildProcess; readonly dataFolder: string; readonly output: () => string }

async function begin(t: TestContext, appFile: string, dataFolder: string, command: 'start' | 'dev' = 'start'): Promise<Begun> {
  const env = { ...process.env, PORT: String(await freePort()), ADMIN_PORT: String(await freePort()), TENFOLD_DATA: dataFolder, LOG_LEVEL: 'info' }
  const child = spawn(process.execPath, ['src/cli/main.ts', command, '--app', appFile], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  t.after(() => { child.kill('SIGKILL') })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => { output += data.toString() })
  return { process: child, dataFolder, output: () => output }
}

const clusterOf = ({ dataFolder }: Begun): string => path.join(dataFolder, 'postgres/cluster')

async function until<T>(what: string, look: () => Promise<T | null>): Promise<T> {
  for (const endMs = monotonicMs() + 30_000; ; await sleep(5)) {
    const found = await look()
    if (found !== null) return found
    assert.ok(monotonicMs() < endMs, what)
  }
}

/** Ends it, and says how long that took. */
async function stop(begun: Begun): Promise<number> {
  assert.doesNotMatch(begun.output(), /^ready /m, 'it is not over yet')
  const sinceMs = monotonicMs()
  begun.process.kill('SIGTERM')
  assert.deepEqual(await once(begun.process, 'exit'), [0, null], begun.output())
  assert.doesNotMatch(begun.output(), /"level":60|    at /, 'no fault of the program')
  return monotonicMs() - sinceMs
}

test('stopped when Postgres begins to run, and when it answers', async t => {
  const dataFolder = await newDataFolder()
  t.after(() => rm(dataFolder, { recursive: true, force: true, maxRetries: 5 }))
  for (const isReady of [false, true]) {
    const begun = await begin(t, conduitFile, dataFolder)
    const { pid } = await until('Postgres runs', async () => {
      const found = await postmasterOf(clusterOf(begun)).catch(() => null)
      return found && (found.ready || !isReady) ? found : null
    })
    const tookMs = await stop(begun)
    assert.match(begun.output(), /stopping before the start is over/)
    t.diagnostic(`stopped in ${Math.round(tookMs)} ms`)
    assert.equal(isAlive(pid), false, 'Postgres has gone with it')
    assert.ok(tookMs < 25_000, 'promised are 10 s; a machine may be busy')
  }
  const deployment = await startDeployment({ dataFolder })
  assert.equal((await fetch(`${deployment.url}/api/tags`)).status, 200)
  assert.equal(await deployment.end(), 0)
})

test('stopped while the application never ends loading', async t => {
  const folder = await newDataFolder()
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await mkdir(path.join(folder, 'app'))
  await cp(path.join(path.dirname(conduitFile), 'topologies'), path.join(folder, 'app/topologies'), { recursive: true })
  await symlink(path.join(root, 'node_modules'), path.join(folder, 'app/node_modules'))
  const begunFile = path.join(folder, 'begun')
  await writeFile(path.join(folder, 'app/app.ts'), `import { appendFileSync } from 'node:fs'\nappendFileSync(${JSON.stringify(begunFile)}, 'begun')\nawait new Promise(() => { setInterval(() => {}, 1_000) })\nexport const app = null\n`)
  for (const command of ['start', 'dev'] as const) {
    await rm(begunFile, { force: true })
    const begun = await begin(t, path.join(folder, 'app/app.ts'), path.join(folder, 'data'), command)
    await until('it loads', () => readFile(begunFile, 'utf8').catch(() => null))
    const tookMs = await stop(begun)
    assert.ok(tookMs < 25_000, `${command}: ${tookMs} ms`)
  }
})
