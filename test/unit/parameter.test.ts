/** Parameters as texts: what pg writes and what this writes mean the same to Postgres. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { parameterOf } from '../../src/drivers/postgres/parameter.ts'
import { scratchPostgres } from '../support/postgres.ts'

const { prepareValue } = createRequire(import.meta.url)('pg/lib/utils.js') as { readonly prepareValue: (value: unknown) => string | Buffer | null }

const texts = ['', ' ', 'plain', 'NULL', 'null', '{}', 'a,b', '"', '\\', '\\"', 'a "b" \\n', 'line\nbreak "quoted"', 'tab\t\\', '\u0001"', 'é 😀 "', "it's", '{"json":"a \\"b\\"\\n"}']

test('a list arrives as it was', async () => {
  const scratch = await scratchPostgres()
  try {
    for (const list of [texts, [...texts, null, undefined], [], [null]]) {
      const [row] = await scratch.sql<{ list: (string | null)[] }>('SELECT $1::text[] AS list', [parameterOf(list)])
      assert.deepEqual(row!.list, list.map(one => one ?? null))
    }
    const [row] = await scratch.sql<Record<string, unknown>>('SELECT $1::int[] AS whole, $2::float8[] AS broken, $3::boolean[] AS said', [[1, -2, 0], [1.5, -1e300, NaN, Infinity], [true, false]].map(parameterOf))
    assert.deepEqual(row, { whole: [1, -2, 0], broken: [1.5, -1e300, NaN, Infinity], said: [true, false] })
  } finally { await scratch.close() }
})

test('everything else is as pg writes it', () => {
  const at = new Date(Date.UTC(2026, 1, 3, 4, 5, 6, 7))
  for (const value of [null, undefined, 1, 'a "b"', true, 12n, at, { a: [1] }, Buffer.from('a'), [[1, 2], [3, 4]], [at], [Buffer.from('a')], [{ a: '"' }]]) assert.deepEqual(parameterOf(value), prepareValue(value))
  const circle: Record<string, unknown> = {}
  circle['self'] = circle
  assert.throws(() => parameterOf(circle), /circular/)
})
