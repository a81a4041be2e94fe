/** The supervisor lives as long as the deployment: what `tenfold start` imports stays small. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'

const root = path.resolve(import.meta.dirname, '../..')

/** What a file imports when it is loaded: not types, and not what is imported later by `import()`. */
const importsOf = (file: string) => [...readFileSync(path.join(root, file), 'utf8').matchAll(/^(?:import|export) (?!type )(?:[^'\n]* from )?'([^']+)'/gm)].map(match => match[1]!)

/** Every module that loading this file loads, with the path to it. */
function reachedFrom(file: string, way: readonly string[] = [], found = new Map<string, readonly string[]>()): Map<string, readonly string[]> {
  for (const target of importsOf(file)) {
    const name = target.startsWith('.') ? path.join(path.dirname(file), target) : target
    if (found.has(name)) continue
    found.set(name, [...way, file])
    if (target.startsWith('.')) reachedFrom(name, [...way, file], found)
  }
  return found
}

const heavy = /^(fastify|kysely|zod|jose|croner|lru-cache)$|^src\/(runtime|credentials)\/|^src\/boot\/(boot|registry)\.ts$|^src\/index\.ts$|^examples\//

test('the supervisor imports neither the application nor the runtime', () => {
  for (const [name, way] of reachedFrom('src/cli/main.ts')) {
    assert.doesNotMatch(name, heavy, `${[...way, name].join(' → ')}: import it where it is used, await import(…) within run()`)
  }
})

test('the walk finds what is there', () => {
  const found = reachedFrom('src/boot/boot.ts')
  for (const name of ['fastify', 'kysely', 'src/runtime/dispatcher.ts']) assert.ok(found.has(name), name)
})
