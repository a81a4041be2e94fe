/**
 * The package as a stranger meets it: packed, unpacked elsewhere, `tenfold init`, the made
 * application checked, started and called. The longer form (soak) lets npm install it: the
 * tarball in an empty folder, and new applications from the tarball and linked to this checkout.
 */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { sleep } from '../../src/base/time.ts'
import { freePort } from '../support/free-port.ts'

const root = path.resolve(import.meta.dirname, '../..')
const isSoak = process.env.TENFOLD_SOAK === '1'
// As npm gives it to scripts: without what this test run has set.
const { NODE_TEST_CONTEXT: _, ...inherited } = process.env
const environment = { ...inherited, PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env.PATH}`, npm_config_prefer_offline: 'true' }
const windows = process.platform === 'win32'

async function run(command: string, argv: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(windows && command.startsWith('np') ? `${command}.cmd` : command, argv, { cwd, env: environment, shell: windows, maxBuffer: 1e7 })
  return stdout
}

async function folderOf(t: TestContext): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-package-'))
  await chmod(folder, 0o755)
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return folder
}

async function pack(folder: string): Promise<string> {
  await run(process.execPath, [path.join(root, 'scripts/package.ts'), '--to', folder], root)
  return path.join(folder, (await readdir(folder)).find(name => name.endsWith('.tgz'))!)
}

/** Runs `tenfold start` of the folder, calls it, and stops it as a terminal does: npx and what it started. */
async function startAndCall(folder: string, command = windows ? 'npx.cmd' : 'npx', first = 'tenfold'): Promise<void> {
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(command, [first, 'start'], { cwd: folder, shell: windows && command.startsWith('npx'), detached: !windows, stdio: ['ignore', 'pipe', 'inherit'], env: { ...environment, PORT: String(port), ADMIN_PORT: String(adminPort), LOG_LEVEL: 'warn' } })
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve))
  try {
    const url = await new Promise<string>((resolve, reject) => {
      child.stdout.on('data', (data: Buffer) => { const ready = /^ready (\S+)$/m.exec(String(data)); if (ready) resolve(ready[1]!) })
      void exited.then(code => reject(new Error(`it ended with ${code}`)))
    })
    const made = await fetch(`${url}/authors/jane/notes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"hello"}' })
    assert.equal(made.status, 201)
    assert.deepEqual(await (await fetch(`${url}/authors/jane/notes`)).json(), { notes: [await made.json()] })
    assert.match(await (await fetch(`http://127.0.0.1:${adminPort}/`)).text(), /<title>Tenfold console/)
  } finally {
    if (child.pid !== undefined && child.exitCode === null) process.kill(windows ? child.pid : -child.pid, 'SIGINT')
    await exited
    // npx may be gone before what it started: the data folder is free when the port is.
    while (await fetch(`http://127.0.0.1:${adminPort}/status`).then(() => true, () => false)) await sleep(50)
  }
}

/** Puts the package where npm would, and links what it depends on: quick, and without a network. */
async function unpack(tarball: string, folder: string): Promise<void> {
  const modules = path.join(folder, 'node_modules')
  await mkdir(modules)
  await run('tar', ['-xzf', tarball, '-C', modules], folder)
  await rename(path.join(modules, 'package'), path.join(modules, 'tenfold'))
  const { dependencies, optionalDependencies } = JSON.parse(await readFile(path.join(modules, 'tenfold/package.json'), 'utf8')) as Record<string, object>
  for (const name of [...Object.keys({ ...dependencies, ...optionalDependencies }), 'zod', '@types/node']) {
    const target = path.join(root, 'node_modules', name)
    if (!existsSync(target)) continue
    await mkdir(path.dirname(path.join(modules, name)), { recursive: true })
    await symlink(target, path.join(modules, name), 'junction')
  }
}

test('the package works where it is unpacked', async t => {
  const folder = await folderOf(t)
  await unpack(await pack(folder), folder)
  const tenfold = (cwd: string, ...argv: string[]) => run(process.execPath, [path.join(folder, 'node_modules/tenfold/bin/tenfold.mjs'), ...argv], cwd)
  await tenfold(folder, 'init', 'app')
  // Its dependencies are found one folder up.
  const app = path.join(folder, 'app')
  const made = JSON.parse(await readFile(path.join(app, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  assert.match(made.dependencies.tenfold!, /^\d+\.\d+\.\d+/, 'a published package is named by its version')
  assert.match(await tenfold(app, 'check'), /starter: 1 services, 2 intents, no faults/)
  // Places of declarations are the application's, not the package's.
  await writeFile(path.join(app, 'places.ts'), `import { manifestOf } from 'tenfold'\nimport { app } from './app.ts'\nconsole.log(JSON.stringify(manifestOf(app).intents.map(one => one.declaredAt)))\n`)
  for (const place of JSON.parse(await run(process.execPath, ['places.ts'], app)) as string[]) assert.match(place, /services\/notes\/index\.ts:\d+$/)
  await run(process.execPath, [path.join(root, 'node_modules/typescript/bin/tsc'), '-p', app], app)
  await startAndCall(app, process.execPath, path.join(folder, 'node_modules/tenfold/bin/tenfold.mjs'))
})

test('a new application installs, starts and passes its test, linked to this checkout and from the tarball', { skip: isSoak ? false : 'part of npm run soak' }, async t => {
  const folder = await folderOf(t)
  const tarball = await pack(folder)
  const install = (cwd: string, ...given: string[]) => run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', ...given], cwd)
  await writeFile(path.join(folder, 'package.json'), '{"private":true}')
  await install(folder, tarball)
  await run('npx', ['tenfold', 'init', 'packed'], folder)
  await run(process.execPath, [path.join(root, 'src/cli/main.ts'), 'init', 'linked'], folder)
  for (const [name, ...given] of [['packed', tarball], ['linked']] as const) {
    const app = path.join(folder, name)
    await install(app, ...given)
    await startAndCall(app)
    await run('npm', ['test'], app)
    await run('npm', ['run', 'check'], app)
    await writeFile(path.join(app, 'wrong.ts'), `import { createClient } from 'tenfold'\nimport { app } from './app.ts'\nvoid createClient(app, '').notes.add({ author: 1, text: 'x' })\n`)
    const refused = await run('npx', ['tsc'], app).then(() => '', (error: { stdout: string }) => error.stdout)
    assert.match(refused, /wrong\.ts.*Type 'number' is not assignable to type 'string'/)
    assert.equal(refused.trim().split('\n').length, 1, refused)
  }
})
