/** The documents that follow from the code are what the code says now. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { difference, documents } from '../scripts/docs.ts'

const root = path.dirname(import.meta.dirname)
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')

for (const [file, text] of Object.entries(documents)) {
  test(`${file} is up to date`, async () => {
    assert.equal(read(file), await text(), `${file} has fallen behind: npm run docs`)
  })
}

test('every driver that the code can open is in docs/drivers.md', () => {
  const opened = [...read('src/boot/registry.ts').matchAll(/'\.\.\/(drivers\/[^']+)'/g)].map(match => match[1]!)
  assert.ok(opened.length > 5)
  for (const file of opened) assert.ok(read('docs/drivers.md').includes(`../src/${file}`), `docs/drivers.md lacks ${file}: name the file <port>.ts or <name>-<port>.ts`)
})

test('every topology is in docs/stages.md', () => {
  for (const file of globSync('examples/conduit/topologies/*.ts', { cwd: root })) assert.ok(read('docs/stages.md').includes(`## ${path.basename(file, '.ts')}\n`), file)
})

test('a difference tells what went and what came', () => {
  assert.deepEqual(difference(['a', 'b', 'c'], ['a', 'x', 'c', 'd']), ['  a', '- b', '+ x', '  c', '+ d'])
  assert.deepEqual(difference([], ['a']), ['+ a'])
  assert.deepEqual(difference(['a'], []), ['- a'])
})
