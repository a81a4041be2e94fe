/** The command line itself: help of every command, bad usage, and what `init` makes and refuses. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { commands, helpOf, main } from '../../src/cli/main.ts'

const root = path.resolve(import.meta.dirname, '../..')

const tenfold = (argv: readonly string[], cwd = root) => new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
  execFile(process.execPath, [path.join(root, 'bin/tenfold.mjs'), ...argv], { cwd }, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }))
})

test('every command tells its help, and its options are in it', () => {
  assert.deepEqual(commands.map(one => one.name).sort(), [...new Set(commands.map(one => one.name))].sort())
  for (const name of ['init', 'dev', 'start', 'check', 'migrate', 'seed', 'client', 'doctor']) assert.ok(commands.some(one => one.name === name), name)
  for (const command of commands) {
    for (const option of [...Object.keys(command.options), 'json', 'help']) assert.ok(helpOf(command).includes(`--${option}`), `${command.name} --${option}`)
    assert.ok(helpOf().includes(command.summary))
  }
})

test('bad usage is refused with what would be right', async () => {
  for (const { name } of commands) {
    await assert.rejects(main([name, '--nonsense']), { code: 'USAGE', message: /--nonsense[\s\S]*--json/ }, name)
    await assert.rejects(main([name, 'one', 'two']), { code: 'USAGE', message: /takes no '(one|two)'/ }, name)
  }
  await assert.rejects(main(['nonsense']), { code: 'USAGE', message: /no command 'nonsense'[\s\S]*doctor/ })
  await assert.rejects(main(['check', '--app', 'none.ts']), { code: 'USAGE', message: /--app/ })
  await assert.rejects(main(['start', '--app', 'examples/conduit/app.ts', '--topology', 'none']), { code: 'USAGE', message: /1-monolith/ })
  const [none, help, wrong] = await Promise.all([tenfold([]), tenfold(['doctor', '--help']), tenfold(['doctor', '--nonsense'])])
  assert.deepEqual([none.code, help.code, wrong.code], [2, 0, 2])
  assert.match(none.stdout, /usage/)
  assert.equal(help.stdout, `${helpOf(commands.find(one => one.name === 'doctor')!)}\n`)
  assert.doesNotMatch(wrong.stderr, /at main/, 'no stack for a wrong option')
})

test('init makes an application in an empty folder only', async t => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-init-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  const app = path.join(folder, 'My App')
  await mkdir(path.join(app, '.git'), { recursive: true })
  const { code, stdout } = await tenfold(['init', 'My App', '--json'], folder)
  assert.equal(code, 0)
  const facts = JSON.parse(stdout) as { name: string; files: string[]; tenfold: string }
  assert.equal(facts.name, 'my-app')
  assert.deepEqual(facts.files, ['.gitignore', 'README.md', 'app.ts', 'package.json', 'services/notes/index.ts', 'services/notes/migrations/0001-note.sql', 'test/notes.test.ts', 'topologies/1-monolith.ts', 'tsconfig.json'])
  assert.equal(path.resolve(app, facts.tenfold.replace('file:', '')), root)
  assert.match(await readFile(path.join(app, '.gitignore'), 'utf8'), /node_modules/)

  const before = (await readdir(app, { recursive: true })).length
  const again = await tenfold(['init'], app)
  assert.equal(again.code, 2)
  assert.match(again.stderr, /is not empty .*nothing in it is overwritten.*tenfold init my-app/)
  assert.equal((await readdir(app, { recursive: true })).length, before)
  await writeFile(path.join(folder, 'file'), '')
  assert.match((await tenfold(['init', 'file'], folder)).stderr, /is a file/)
})
