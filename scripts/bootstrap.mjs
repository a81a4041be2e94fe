/**
 * The way in, and the only file that must run on Node 20: installs what the lockfile names,
 * finds the pinned Node, and hands over to it.
 *
 *   node scripts/bootstrap.mjs start|test|soak|seed|bench|docs|package|console|tenfold [arguments]
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const modules = path.join(root, 'node_modules')
const stamp = path.join(modules, '.tenfold-installed')
// Node keeps what it compiled, and the types it stripped, from one start to the next.
process.env.NODE_COMPILE_CACHE ??= path.join(modules, '.cache', 'tenfold')
const windows = process.platform === 'win32'

const targets = {
  start: ['src/cli/main.ts', 'start', '--app', 'examples/conduit/app.ts'],
  seed: ['src/cli/main.ts', 'seed', '--app', 'examples/conduit/app.ts'],
  tenfold: ['src/cli/main.ts'],
  test: ['scripts/test.ts'],
  soak: ['scripts/test.ts', '--soak'],
  bench: ['bench/main.ts'],
  docs: ['scripts/docs.ts'],
  package: ['scripts/package.ts'],
  console: ['scripts/console.ts'],
}

function fail(message) {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

function lockDigest() {
  return createHash('sha256').update(readFileSync(path.join(root, 'package-lock.json'))).digest('hex')
}

function install() {
  const digest = lockDigest()
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  process.stderr.write('Installing what package-lock.json names …\n')
  const result = spawnSync(windows ? 'npm.cmd' : 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: root, stdio: ['ignore', 2, 2], shell: windows })
  if (result.status !== 0) fail('npm ci failed: see above. It needs the npm registry, or a filled npm cache.')
  mkdirSync(modules, { recursive: true })
  compile(pinnedNode())
  writeFileSync(stamp, digest)
}

/** Imports what a start imports, so that the first one finds it compiled; as a spare the process waits for a role instead of starting. */
function compile(node) {
  const files = ['src/cli/main.ts', 'src/boot/process.ts', 'examples/conduit/app.ts']
  spawnSync(node, ['--input-type=module', '--eval', files.map(file => `await import('./${file}')`).join('\n')], { cwd: root, stdio: ['ignore', 2, 2], env: { ...process.env, TENFOLD_SPARE: 'framework' } })
}

/** The Node of the npm package `node`; its install script may have been blocked, then it runs now. */
function pinnedNode() {
  const binary = path.join(modules, 'node', 'bin', windows ? 'node.exe' : 'node')
  if (existsSync(binary)) return binary
  const folder = path.join(modules, 'node')
  if (existsSync(folder)) spawnSync(process.execPath, ['installArchSpecificPackage'], { cwd: folder, stdio: ['ignore', 2, 2] })
  if (existsSync(binary)) return binary
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  return fail(`The pinned Node ${createRequire(import.meta.url)(path.join(root, 'package.json')).devDependencies.node} could not be installed for ${process.platform}-${process.arch}. Install Node 24 or newer and run this again.`)
}

const [target, ...rest] = process.argv.slice(2)
if (!targets[target]) fail(`usage: node scripts/bootstrap.mjs ${Object.keys(targets).join('|')} [arguments]`)
install()
const [file, ...first] = targets[target]
const child = spawn(pinnedNode(), [path.join(root, file), ...first, ...rest], { cwd: root, stdio: 'inherit' })
// A terminal sends Ctrl-C to the whole group; a plain kill reaches only this process.
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
process.on('SIGINT', () => { if (!process.stdin.isTTY) child.kill('SIGINT') })
child.on('exit', (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)))
