/**
 * What a start imports and how often, and the process on standby: it replaces one that
 * crashed, never serves a source that has changed, and ends with its supervisor. Told by
 * process ids and by what the application writes down when it is imported, not by a clock.
 *
 * Negative control: without a standby the process that comes back is a new one.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { readAdminToken } from '../../src/boot/deployment.ts'
import { isAlive } from '../support/liveness.ts'
import { startDeployment } from '../support/deployment.ts'
import { freePort } from '../support/free-port.ts'

const root = path.resolve(import.meta.dirname, '../..')
const topology = path.join(root, 'examples/conduit/topologies/1-monolith.ts')
const skip = process.platform !== 'linux' && 'reads /proc'

/** Inside the checkout, so that the package finds itself by its name. */
async function makeApplication(t: TestContext) {
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  const folder = await mkdtemp(path.join(root, '.tenfold/counted-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const [appFile, imports] = [path.join(folder, 'app.ts'), path.join(folder, 'imports.log')]
  await cp(path.join(root, 'test/fixtures/counted/app.ts'), appFile)
  const source = await readFile(appFile, 'utf8')
  return {
    folder, appFile, env: { TENFOLD_IMPORTS: imports },
    /** In one step: half a file would be a version of its own. */
    change: async (version: string) => {
      await writeFile(path.join(folder, '.draft'), source.replace('version 1', version))
      await rename(path.join(folder, '.draft'), appFile)
    },
    /** Each import of the application: by whom, and which version. */
    imports: async () => (await readFile(imports, 'utf8')).trim().split('\n'),
  }
}

/** The processes of a supervisor that run, ready or not. */
function processesOf(supervisor: number): number[] {
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).map(Number).filter(pid => {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(supervisor) && readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('boot/process.ts')
    } catch { return false }
  })
}

async function until<T>(look: () => Promise<T | undefined> | T | undefined): Promise<T> {
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    await sleep(50)
  }
}

const who = async (url: string) => await (await fetch(`${url}/who`, { headers: { connection: 'close' } })).json() as { pid: number; version: string }

async function crash(url: string): Promise<number> {
  const { pid } = await who(url)
  process.kill(pid, 'SIGKILL')
  return (await who(url).catch(() => who(url))).pid
}

test('a start imports the application once, and the process on standby replaces one that crashed', { skip }, async t => {
  const application = await makeApplication(t)
  const deployment = await startDeployment({ ...application, topology, standby: true })
  t.after(() => deployment.close())
  const first = await who(deployment.url)
  assert.deepEqual(await application.imports(), [`${first.pid} version 1`], 'the process that told the plan is the one that serves')

  const [, standby] = await until(async () => (await application.imports()).length > 1 ? (await application.imports()).map(line => Number(line.split(' ')[0])) : undefined)
  assert.notEqual(standby, first.pid)
  assert.equal(await crash(deployment.url), standby)

  await t.test('a restart runs the source as it is now, not what was loaded before', async () => {
    const spare = await until(() => processesOf(deployment.process.pid!).find(pid => pid !== standby))
    await application.change('version 2')
    const token = await readAdminToken(deployment.dataFolder)
    const answer = await fetch(`${deployment.adminUrl}/restart`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
    assert.equal(answer.status, 200)
    const now = await who(deployment.url)
    assert.equal(now.version, 'version 2')
    assert.ok(now.pid !== spare && now.pid !== standby && !isAlive(spare))
  })

  await t.test('after kill -9 of the supervisor none is left', async () => {
    const processes = await until(() => processesOf(deployment.process.pid!).length === 2 ? processesOf(deployment.process.pid!) : undefined)
    deployment.process.kill('SIGKILL')
    while (processes.some(isAlive)) await sleep(50)
    // Adopts the Postgres that goes on, and ends it.
    await (await startDeployment({ ...application, topology, dataFolder: deployment.dataFolder })).end()
  })
})

test('negative control: without a standby a new process comes back', { skip }, async t => {
  const application = await makeApplication(t)
  const deployment = await startDeployment({ ...application, topology, env: { ...application.env, TENFOLD_STANDBY: 'off' } })
  t.after(() => deployment.close())
  const before = processesOf(deployment.process.pid!)
  const back = await crash(deployment.url)
  assert.ok(before.length === 1 && !before.includes(back))
  assert.equal((await application.imports()).length, 2)
})

test('on dev the standby has loaded nothing of the application, and takes the change', { skip }, async t => {
  const application = await makeApplication(t)
  await mkdir(path.join(application.folder, 'topologies'))
  await cp(topology, path.join(application.folder, 'topologies/1-monolith.ts'))
  const port = await freePort()
  const child = spawn(process.execPath, [path.join(root, 'src/cli/main.ts'), 'dev', '--app', application.appFile, '--json'], {
    cwd: root, stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, ...application.env, PORT: String(port), ADMIN_PORT: String(await freePort()), TENFOLD_DATA: path.join(application.folder, 'data') },
  })
  t.after(async () => { child.kill('SIGTERM'); await new Promise(resolve => child.once('exit', resolve)) })
  let output = ''
  child.stdout.on('data', (data: Buffer) => { output += data.toString() })
  await until(() => output.includes('"ready"') || undefined)
  const url = `http://127.0.0.1:${port}`
  const serving = await who(url)
  const standby = await until(() => processesOf(child.pid!).find(pid => pid !== serving.pid))
  assert.deepEqual(await application.imports(), [`${serving.pid} version 1`])
  await application.change('version 2')
  const now = await until(async () => { const one = await who(url).catch(() => undefined); return one?.version === 'version 2' ? one : undefined })
  assert.equal(now.pid, standby, output)
  assert.deepEqual(await application.imports(), [`${serving.pid} version 1`, `${standby} version 2`], 'imported once, after the change')
  await until(() => processesOf(child.pid!).some(pid => pid !== serving.pid && pid !== standby) || undefined)
})
