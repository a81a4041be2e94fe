/** The rules of advice on tables of facts: each finds what is beyond its threshold, and is silent just below. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { advise } from '../src/insight/advice.ts'
import type { Facts, Statement } from '../src/insight/facts.ts'
import { gather } from '../src/insight/facts.ts'
import { textOf } from '../src/insight/finding.ts'
import { indexCandidates } from '../src/insight/index-candidates.ts'
import { thresholds } from '../src/insight/thresholds.ts'
import type { IndexFacts, Scan, TableFacts } from '../src/ports/inspection.ts'
import { declining } from './conformance/broken/inspection.ts'
import { inspectionDriver } from './support/inspection-driver.ts'

const statement: Statement = {
  service: 'shop', text: 'SELECT * FROM item WHERE colour = $1', intent: 'shop.list', intents: ['shop.list'], calls: 1_000,
  totalMs: 5_000, maxMs: 20, rowsPerCall: 10, pagesPerCall: 500, share: 0.4,
}
const table: TableFacts = { service: 'shop', table: 'item', rows: 20_000, pages: 500, bytes: 4_096_000, deadRows: 0, vacuumAtRows: 4_050, analyzed: true, transactionAge: 0.01 }
const scan: Scan = { service: 'shop', table: 'item', index: null, equals: ['colour'], ranges: [], order: [], passing: 0.01, node: 'Seq Scan on shop.item' }
const index = (name: string, columns: string, more: Partial<IndexFacts> = {}): IndexFacts => ({
  service: 'shop', table: 'item', name, unique: false, plain: true, bytes: 8_000_000, scans: 10,
  columns: columns.split(' ').map(text => ({ column: text.replace('-', ''), descending: text.startsWith('-') })), ...more,
})
const key = index('item_pkey', 'bucket id', { unique: true, scans: 0 })
const well: Facts = {
  observation: { statementsMs: 3_600_000, tablesMs: 30 * 86_400_000, incomplete: false },
  statements: [statement], tables: [table], indexes: [key], candidates: [], counts: [], migrations: { shop: 3 },
}
const kindsOf = (facts: Partial<Facts>) => advise({ ...well, ...facts }).findings.map(one => one.kind)
const columnsFor = (changes: Partial<Scan>, indexes: readonly IndexFacts[] = [key], of: Partial<TableFacts> = {}, run: Partial<Statement> = {}) =>
  indexCandidates({ ...statement, ...run }, [{ ...scan, ...changes }], [{ ...table, ...of }], indexes)
    .map(one => one.index.columns.map(column => (column.descending ? '-' : '') + column.column).join(' '))

test('all is well: silence', () => {
  const advice = advise(well)
  assert.deepEqual(advice, { findings: [], notes: [] })
  assert.equal(textOf(advice), 'nothing to mend')
})

test('columns of an index: equality, then order, then one range', () => {
  assert.deepEqual(columnsFor({}), ['colour'])
  assert.deepEqual(columnsFor({ equals: ['bucket', 'colour'], ranges: ['price', 'made_at'] }), ['bucket colour price'])
  assert.deepEqual(columnsFor({ equals: ['colour'], order: [{ column: 'made_at', descending: true }] }), ['colour -made_at'])
  assert.deepEqual(columnsFor({ equals: [], passing: 1, order: [{ column: 'made_at', descending: true }, { column: 'id', descending: true }] }), ['-made_at -id'])
})

test('no index where it would not help', () => {
  assert.deepEqual(columnsFor({ passing: 0.3 }), [], 'many rows pass')
  assert.deepEqual(columnsFor({ equals: [] }), [], 'no condition')
  assert.deepEqual(columnsFor({}, [key], { pages: thresholds.scanPages - 1 }), [], 'a small table')
  assert.deepEqual(columnsFor({}, [key], {}, { pagesPerCall: 20 }), [], 'the plan that ran was another')
  assert.deepEqual(columnsFor({}, [key, index('by_colour', 'colour price')]), [], 'there already')
  assert.deepEqual(columnsFor({ equals: ['a', 'b'] }, [index('by_b', 'b a')]), [], 'there in another order')
  assert.deepEqual(columnsFor({ equals: [], order: [{ column: 'made_at', descending: true }] }, [index('by_time', 'made_at')]), [], 'readable backwards')
  assert.deepEqual(columnsFor({}, [index('by_colour', 'colour', { plain: false })]), ['colour'], 'a partial index is no answer')
})

test('one index for several statements, the longer for both, numbered after the migrations there are', () => {
  const other = { ...statement, text: 'SELECT 2', intents: ['shop.other'] }
  const [first] = indexCandidates(statement, [scan], [table], [key])
  const [second] = indexCandidates(other, [{ ...scan, order: [{ column: 'made_at', descending: true }] }], [table], [key])
  const { findings } = advise({ ...well, statements: [statement, other], candidates: [first!, second!] })
  assert.equal(findings.length, 1)
  assert.deepEqual(findings[0]!.intents, ['shop.list', 'shop.other'])
  assert.deepEqual(findings[0]!.migration, { service: 'shop', file: '0004-item-by-colour-made-at.sql', sql: 'CREATE INDEX IF NOT EXISTS item_by_colour_made_at ON item (colour, made_at DESC);' })
})

test('slow statements are those that are slow and weigh', () => {
  const slow = { ...statement, totalMs: 60_000, share: 0.5 }
  assert.deepEqual(kindsOf({ statements: [slow] }), ['slow-statement'])
  for (const changes of [{ totalMs: 49_000 }, { share: 0.05 }, { intents: [] }]) assert.deepEqual(kindsOf({ statements: [{ ...statement, calls: 10_000 }, { ...slow, ...changes }] }), [])
  assert.deepEqual(kindsOf({ statements: [statement, { ...slow, calls: 40 }] }), [], 'seen too rarely')
  assert.deepEqual(kindsOf({ statements: [slow], candidates: indexCandidates(slow, [scan], [table], [key]) }), ['missing-index'], 'named once')
})

test('a loop is found in what serves a caller, not in jobs', () => {
  const count = (changes: object, kind: 'query' | 'job' = 'query') => [{ intent: 'shop.list', kind, calls: 100, statements: 700, texts: [{ text: 'SELECT 1', runs: 600, calls: 100, perCallMax: 20, ...changes }] }]
  assert.deepEqual(kindsOf({ counts: count({}) }), ['repeated-statement'])
  assert.match(advise({ ...well, counts: count({ text: 'call shop.one' }) }).findings[0]!.summary, /calls shop\.one once per row/)
  for (const counts of [count({ perCallMax: 7 }), count({ runs: 300 }), count({ calls: 19, runs: 190 }), count({}, 'job')]) assert.deepEqual(kindsOf({ counts }), [])
})

test('unused indexes: after long enough, never unique ones', () => {
  const unused = index('by_price', 'price', { scans: 0 })
  assert.deepEqual(kindsOf({ indexes: [key, unused] }), ['unused-index'])
  assert.deepEqual(advise({ ...well, indexes: [key, unused] }).findings[0]!.migration?.sql, 'DROP INDEX by_price;')
  assert.deepEqual(kindsOf({ indexes: [key, { ...unused, unique: true }] }), [])
  assert.deepEqual(kindsOf({ indexes: [key, { ...unused, scans: 1 }] }), [])
  const early = advise({ ...well, indexes: [key, unused], observation: { ...well.observation, tablesMs: 86_400_000 } })
  assert.deepEqual(early.findings, [])
  assert.match(early.notes[0]!, /not enough observed yet to call an index unused/)
})

test('redundant indexes: the beginning of another', () => {
  assert.deepEqual(kindsOf({ indexes: [key, index('a', 'colour'), index('b', 'colour price')] }), ['redundant-index'])
  assert.deepEqual(kindsOf({ indexes: [key, index('a', 'bucket')] }), ['redundant-index'], 'of the primary key')
  const twins = advise({ ...well, indexes: [key, index('a', 'colour'), index('b', 'colour')] }).findings
  assert.deepEqual(twins.map(one => one.migration?.sql), ['DROP INDEX b;'], 'one of two goes')
  for (const pair of [[index('a', 'colour'), index('b', '-colour price')], [index('a', 'price'), index('b', 'colour price')], [index('a', 'colour', { plain: false }), index('b', 'colour price')], [index('a', 'colour', { unique: true }), index('b', 'colour price')]]) {
    assert.deepEqual(kindsOf({ indexes: [key, ...pair] }), [])
  }
})

test('tables that vacuum does not keep up with, are never analysed, or grow too old', () => {
  for (const changes of [{ deadRows: 60_000 }, { analyzed: false }, { transactionAge: 0.6 }]) assert.deepEqual(kindsOf({ tables: [{ ...table, ...changes }] }), ['vacuum'])
  for (const changes of [{ deadRows: 40_000 }, { deadRows: 60_000, vacuumAtRows: 40_000 }, { analyzed: false, pages: 100 }, { transactionAge: 0.3 }]) assert.deepEqual(kindsOf({ tables: [{ ...table, ...changes }] }), [])
})

test('too little seen is said, not judged', () => {
  const few = advise({ ...well, statements: [{ ...statement, calls: 100, totalMs: 60_000 }], counts: null })
  assert.deepEqual(few.findings, [])
  assert.match(few.notes.join('\n'), /not enough observed yet: 100 statements[\s\S]*statements per call were not looked at/)
})

test('gathered from the real engine: intents of both sides, and no index that the planner declines', async () => {
  const { subject: { inspection, run }, close } = await inspectionDriver().open()
  try {
    const text = 'SELECT id, price FROM item WHERE colour = $1'
    await run(`${text} /*intent='shop.list'*/`, ['colour-1'], thresholds.statementCalls)
    const counts = [{ intent: 'shop.search', kind: 'query' as const, calls: 1, statements: 1, texts: [{ text: `\n  ${text}`, runs: 1, calls: 1, perCallMax: 1 }] }]
    const facts = await gather(inspection, counts, {})
    assert.deepEqual(facts.statements.find(one => one.text === text)!.intents, ['shop.list', 'shop.search'])
    assert.deepEqual(facts.candidates.map(one => one.index.columns), [[{ column: 'colour', descending: false }]])
    assert.deepEqual((await gather(declining(inspection), counts, {})).candidates, [])
  } finally { await close() }
})
