/** The house rules that a program can check: floors, names, sizes, banned calls, documents that must agree with the code. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { errorTable } from '../src/base/errors.ts'
import { limits } from '../src/base/limits.ts'
import { commands, helpOf } from '../src/cli/main.ts'

const root = path.dirname(import.meta.dirname)
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const sources = globSync('src/**/*.ts', { cwd: root }).sort()
const own = [...sources, ...globSync(['test/**/*.ts', 'examples/**/*.ts', 'bench/**/*.ts', 'scripts/*', 'console/src/**/*.{ts,tsx}', 'console/*.ts'], { cwd: root, exclude: ['**/node_modules/**'] })].sort()

/** A file imports from its own floor's folder or from lower floors. */
const floors: Readonly<Record<string, number>> = {
  base: 0, credentials: 1, load: 1, scaling: 1, ports: 1, conformance: 2, drivers: 2, model: 3, topology: 4, runtime: 5, boot: 6, climb: 7, insight: 7, simulation: 7, testing: 7, admin: 8, cli: 9,
}
const floorOf = (file: string) => file.split('/')[1]!
const importsOf = (file: string) => [...read(file).matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map(match => path.normalize(path.join(path.dirname(file), match[1]!)))

test('imports go down only', () => {
  for (const file of sources) {
    if (file === 'src/index.ts') continue
    for (const target of importsOf(file)) {
      const [from, to] = [floorOf(file), floorOf(target)]
      assert.ok(to in floors, `${file}: ${to} is no floor`)
      if (from === to) continue
      assert.ok(floors[to]! < floors[from]!, `${file} (floor ${floors[from]}) imports ${target} (floor ${floors[to]})`)
      if (from === 'drivers' || from === 'conformance') assert.ok(['base', 'ports'].includes(to), `${file} imports ${target}: it may see base and ports only`)
      if (to === 'drivers') assert.ok(from === 'boot', `${file} imports ${target}: only boot knows drivers`)
    }
  }
})

test('a driver imports no other driver', () => {
  for (const file of sources.filter(one => one.startsWith('src/drivers/'))) {
    for (const target of importsOf(file)) if (target.startsWith('src/drivers/')) assert.equal(target.split('/')[2], file.split('/')[2], `${file} imports ${target}`)
  }
})

/** Those that mean one server, whatever it is: the keeper's own, and what looks for the primary. */
const bound = /\/(primary-client|members|replica|replication-connection|server(-\w+)?)\.ts$/

test('a driver of Postgres follows the primary', () => {
  for (const file of sources.filter(one => one.startsWith('src/drivers/postgres/') && !bound.test(one))) {
    assert.doesNotMatch(read(file), /new pg\.(Client|Pool)\(/, `${file} would stay with the server that was the primary once: use PrimaryClient or primaryPool`)
  }
})

test('the application sees the package only', () => {
  for (const file of globSync('examples/**/*.ts', { cwd: root, exclude: ['**/node_modules/**'] })) {
    assert.doesNotMatch(read(file), /from '[./]*src\//, `${file} reaches into src; import from 'tenfold'`)
  }
})

test('names are nouns in kebab-case', () => {
  for (const file of own) {
    const name = path.basename(file).replace(/(\.(test|test-d|config))?\.(tsx?|mjs)$/, '')
    assert.match(name, /^[a-z0-9]+(-[a-z0-9]+)*$/, file)
    assert.doesNotMatch(name, /^(utils?|helpers?|common|misc|lib)$/, file)
  }
})

test('files open with what they are for, and stay small', () => {
  for (const file of own) {
    const text = read(file)
    assert.ok(text.split('\n').length <= 301, `${file} has ${text.split('\n').length} lines; split it`)
    if (sources.includes(file)) assert.match(text, /^(#!.*\n)?\/\*\*/, `${file} does not open with what it is for`)
  }
})

test('time, randomness and ids come through base only', () => {
  const banned = /\b(Date\.now|performance\.now|Math\.random|randomUUID|setInterval|setTimeout)\s*\(/
  for (const file of sources.filter(one => !one.startsWith('src/base/'))) assert.doesNotMatch(read(file), banned, file)
})

test('no any, no host of a registry, no path of a machine', () => {
  const code = (file: string) => read(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
  for (const file of sources) assert.ok(!/(:|<|as) any\b/.test(code(file)), `${file} says any`)
  const tracked = execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).trim().split('\n').filter(file => !/\.(png|ico)$/.test(file))
  for (const file of tracked) {
    const text = read(file)
    assert.ok(!new RegExp(['registry', 'npmjs', 'org'].join('\\.')).test(text), `${file} names a registry`)
    assert.ok(!new RegExp(['/ho' + 'me/', '/ro' + 'ot/[a-z]', '/wo' + 'rk/'].join('|')).test(text), `${file} has a path of a machine`)
  }
})

test('a port has at most ten methods', () => {
  for (const file of globSync('src/ports/*.ts', { cwd: root })) {
    for (const [, name, body] of read(file).matchAll(/export interface (\w+)[^{]*\{\n([\s\S]*?)\n\}/g)) {
      const methods = body!.match(/^ {2}\w+(<[^>]+>)?\(/gm) ?? []
      assert.ok(methods.length <= 10, `${file}: ${name} has ${methods.length} methods`)
    }
  }
})

test('the pinned Node suits every dependency', () => {
  const lock = JSON.parse(read('package-lock.json')) as { packages: Record<string, { engines?: { node?: string }; version?: string }> }
  const { devDependencies } = JSON.parse(read('package.json')) as { devDependencies: Record<string, string> }
  assert.ok(Number(devDependencies.node!.split('.')[0]) >= 24)
  for (const [name, { engines }] of Object.entries(lock.packages)) {
    const wanted = engines?.node
    if (wanted && /^>=\s*(\d+)/.test(wanted)) assert.ok(Number(/^>=\s*(\d+)/.exec(wanted)![1]) <= 24, `${name} wants Node ${wanted}`)
  }
})

test('docs/errors.md is the table of errors', () => {
  const rows = Object.entries(errorTable).map(([code, { status, retryable, says, help }]) => `| \`${code}\` | ${status} | ${retryable ? 'yes' : 'no'} | ${says} | ${help} |`)
  for (const row of rows) assert.ok(read('docs/errors.md').includes(row), `docs/errors.md lacks the row\n${row}`)
  assert.equal(read('docs/errors.md').match(/^\| `/gm)?.length, rows.length, 'docs/errors.md has rows of codes that are gone')
})

test('docs/cli.md is the help of the commands', () => {
  for (const command of commands) assert.ok(read('docs/cli.md').includes(helpOf(command)), `docs/cli.md lacks the help of '${command.name}'`)
})

test('topologies are plain data of at most 60 lines', async () => {
  for (const file of globSync('examples/conduit/topologies/*.ts', { cwd: root })) {
    assert.ok(read(file).split('\n').length <= 61, file)
    const { default: topology } = await import(path.join(root, file)) as { default: unknown }
    assert.deepEqual(JSON.parse(JSON.stringify(topology)), topology, `${file} is not plain data`)
  }
})

test('SIGTERM keeps its promise', () => { assert.ok(limits.drainMs + 1_500 < 10_000) })
