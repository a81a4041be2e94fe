/** `tenfold dev`: a change is served, a broken one is reported while the version before goes on, Ctrl-C ends it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { freePort } from '../support/free-port.ts'

const root = path.resolve(import.meta.dirname, '../..')

async function starterIn(t: TestContext): Promise<string> {
  await mkdir(path.join(root, '.tenfold'), { recursive: true })
  // Inside the checkout, so that the package finds itself by its name.
  const folder = await mkdtemp(path.join(root, '.tenfold/dev-'))
  t.after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  await cp(path.join(root, 'examples/starter'), folder, { recursive: true })
  return folder
}

async function startDev(t: TestContext, folder: string) {
  const [port, adminPort] = [await freePort(), await freePort()]
  const child = spawn(process.execPath, [path.join(root, 'src/cli/main.ts'), 'dev', '--app', path.join(folder, 'app.ts'), '--json'], {
    // The data folder lies among the watched files, under a name without a dot.
    cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, PORT: String(port), ADMIN_PORT: String(adminPort), TENFOLD_DATA: path.join(folder, 'data') },
  })
  let [output, errors] = ['', '']
  child.stdout.on('data', (data: Buffer) => { output += data.toString() })
  child.stderr.on('data', (data: Buffer) => { errors += data.toString() })
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve))
  t.after(async () => { child.kill('SIGTERM'); await exited })
  const events = () => output.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as { event: string; changed?: string[] })
  const seen = async (event: string, count = 1) => {
    while (events().filter(one => one.event === event).length < count) {
      assert.equal(child.exitCode, null, `it ended before '${event}':\n${output}${errors}`)
      await sleep(20)
    }
  }
  return { url: `http://127.0.0.1:${port}`, events, seen, errors: () => errors, interrupt: () => { child.kill('SIGINT'); return exited } }
}

test('changes are served, broken ones are not', async t => {
  const folder = await starterIn(t)
  const file = path.join(folder, 'services/notes/index.ts')
  const source = await readFile(file, 'utf8')
  const version = (text: string) => source.replace(`values({ id: context.newId(), author, text })`, `values({ id: context.newId(), author, text: text + '${text}' })`)
  const dev = await startDev(t, folder)
  await dev.seen('ready')
  const add = async (): Promise<string> => {
    const answer = await fetch(`${dev.url}/authors/jane/notes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"text":"hello"}' }).catch(() => null)
    // A connection that was kept to the old version ends with it, or is told to come again: then the new one answers.
    if (answer === null || answer.status === 503) return add()
    const body = await answer.json() as { text: string }
    assert.equal(answer.status, 201, JSON.stringify(body))
    return body.text
  }
  assert.equal(await add(), 'hello')

  await writeFile(file, version(' two'))
  const heard = new Set<string>()
  // Asked all the while: somebody answers between the versions.
  for (let text = ''; text !== 'hello two'; heard.add(text)) text = await add()
  assert.deepEqual([...heard].filter(text => text !== 'hello'), ['hello two'])
  await dev.seen('restarted')

  await writeFile(file, `${source}\nexport const broken = {`)
  while (!dev.events().some(one => one.event === 'refused')) assert.equal(await add(), 'hello two')
  assert.match(dev.errors(), /SyntaxError/)
  assert.ok(dev.errors().includes(file), 'the error names the file')

  await writeFile(file, version(' three'))
  await dev.seen('restarted', 2)
  assert.equal(await add(), 'hello three')
  // Neither the data folder nor what is ignored has started anything.
  await mkdir(path.join(folder, 'node_modules/x'), { recursive: true })
  await writeFile(path.join(folder, 'node_modules/x/index.js'), '')
  await writeFile(path.join(folder, 'noise.log'), 'x')
  await writeFile(path.join(folder, 'last.ts'), '')
  await dev.seen('restarted', 3)
  assert.deepEqual(dev.events().flatMap(one => one.event === 'restarted' ? one.changed! : []), ['services/notes/index.ts', 'services/notes/index.ts', 'last.ts'])
  assert.equal(await dev.interrupt(), 0)
  await assert.rejects(fetch(dev.url))
})

test('an application that is broken from the beginning is waited for', async t => {
  const folder = await starterIn(t)
  const source = await readFile(path.join(folder, 'app.ts'), 'utf8')
  await writeFile(path.join(folder, 'app.ts'), source.replace('application(', 'applicatoin('))
  const dev = await startDev(t, folder)
  await dev.seen('faulty')
  assert.match(dev.errors(), /applicatoin is not defined/)
  // Well declared, and still it does not start: its table is no SQL.
  const table = path.join(folder, 'services/notes/migrations/0001-note.sql')
  const sql = await readFile(table, 'utf8')
  await writeFile(table, 'CREATE TABEL note ()')
  await writeFile(path.join(folder, 'app.ts'), source)
  await dev.seen('faulty', 2)
  while (!dev.errors().includes('TABEL')) await sleep(20)
  await writeFile(table, sql)
  await dev.seen('ready')
  assert.equal((await fetch(`${dev.url}/health`)).status, 200)
  assert.equal(await dev.interrupt(), 0)
})
