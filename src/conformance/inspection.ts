/** What every driver of the inspection port must do: tell what is so, run nothing that it explains, leave nothing behind. */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import type { IndexShape, Inspection } from '../ports/inspection.ts'
import { suite } from './check.ts'

/** Service `shop`: table `item (bucket, id, colour, price, made_at)` of 20,000 rows and 100 colours, keyed by (bucket, id), without another index. */
export interface InspectionSubject {
  readonly inspection: Inspection
  /** Runs a statement as the service, so often. */
  run(text: string, values: readonly unknown[], times: number): Promise<void>
  /** Rows of `item` that are there. */
  count(): Promise<number>
}

export const inspectedRows = 20_000
const byColour = 'SELECT id, price FROM item WHERE colour = $1'
const byKey = 'SELECT price FROM item WHERE bucket = $1 AND id = $2'
const newest = 'SELECT id FROM item ORDER BY made_at DESC, id LIMIT $1'
const markOf = (intent: string) => ` /*intent='${intent}'*/`
const onColour: IndexShape = { service: 'shop', table: 'item', columns: [{ column: 'colour', descending: false }] }

const namesOf = async (inspection: Inspection) => (await inspection.indexes()).map(one => one.name).sort()

export const inspectionSuite = suite<InspectionSubject>('inspection', {
  async 'statements are told by service, without their mark, with intent and counts'({ inspection, run }) {
    await run(byColour + markOf('shop.list'), ['colour-1'], 5)
    await run(byKey, [1, 1], 3)
    const found = await inspection.statements()
    const list = found.find(one => one.text === byColour)!
    assert.deepEqual([list.service, list.intent, list.calls, list.rowsPerCall], ['shop', 'shop.list', 5, inspectedRows / 100])
    assert.ok(list.totalMs > 0 && list.maxMs <= list.totalMs && list.pagesPerCall > 50)
    assert.equal(found.find(one => one.text === byKey)!.intent, null)
  },
  async 'a statement of several intents is one'({ inspection, run }) {
    for (const intent of ['shop.a', 'shop.b']) await run(byColour + markOf(intent), ['colour-1'], 2)
    const found = (await inspection.statements()).filter(one => one.text === byColour)
    assert.deepEqual(found.map(one => one.calls), [4])
  },
  async 'the runtime\'s own statements are left out'({ inspection, run }) {
    await run(`SELECT 1 FROM item LIMIT 1${markOf('tenfold.outbox')}`, [], 3)
    assert.deepEqual((await inspection.statements()).filter(one => one.text.includes('SELECT 1')), [])
  },
  async 'tables and indexes are as they are'({ inspection }) {
    const [item] = await inspection.tables()
    assert.deepEqual([item!.table, item!.rows, item!.analyzed], ['item', inspectedRows, true])
    assert.ok(item!.pages > 100 && item!.bytes >= item!.pages * 4_096 && item!.transactionAge < 0.1)
    const [key] = await inspection.indexes()
    assert.deepEqual([key!.table, key!.unique, key!.plain, key!.columns.map(one => one.column)], ['item', true, true, ['bucket', 'id']])
  },
  async 'a scan by a condition, and none where an index answers'({ inspection }) {
    const [scan] = (await inspection.scans('shop', byColour))!
    assert.deepEqual([scan!.service, scan!.table, scan!.equals, scan!.ranges, scan!.order], ['shop', 'item', ['colour'], [], []])
    assert.ok(scan!.passing > 0.005 && scan!.passing < 0.02)
    assert.equal(scan!.index, null)
    assert.deepEqual(await inspection.scans('shop', byKey), [])
  },
  async 'an index that is read whole for a later column is a scan too'({ inspection }) {
    const scans = (await inspection.scans('shop', 'SELECT bucket FROM item WHERE id = $1'))!
    assert.deepEqual(scans.map(one => [one.table, one.index, one.equals]), [['item', 'item_pkey', ['id']]])
    assert.deepEqual(await inspection.scans('shop', 'SELECT id FROM item WHERE bucket = $1'), [])
  },
  async 'ranges, orders and conditions that no index answers are told apart'({ inspection }) {
    const [range] = (await inspection.scans('shop', 'SELECT 1 FROM item WHERE price > $1 AND (colour = $2 OR $2 IS NULL)'))!
    assert.deepEqual([range!.equals, range!.ranges, range!.order], [[], ['price'], []])
    const [order] = (await inspection.scans('shop', newest))!
    assert.deepEqual(order!.order, [{ column: 'made_at', descending: true }, { column: 'id', descending: false }])
    const [unlimited] = (await inspection.scans('shop', 'SELECT id FROM item ORDER BY made_at'))!
    assert.deepEqual(unlimited!.order, [])
    const [several] = (await inspection.scans('shop', 'SELECT id FROM item WHERE colour = ANY ($1) AND price >= $2'))!
    assert.deepEqual([several!.equals, several!.ranges], [['colour'], ['price']])
    const [joined] = (await inspection.scans('shop', 'SELECT 1 FROM item a JOIN item b ON b.made_at = a.made_at AND b.price > a.price'))!
    assert.deepEqual([joined!.equals, joined!.ranges], [[], []])
  },
  async 'what cannot be explained is null'({ inspection }) {
    assert.equal(await inspection.scans('shop', 'SELECT FROM nowhere WHERE $1'), null)
    assert.equal(await inspection.scans('shop', 'SELECT interval $1'), null)
    assert.equal(await inspection.explain('shop', 'SELECT FROM nowhere WHERE $1'), null)
  },
  async 'a plan is told in words'({ inspection }) {
    assert.match((await inspection.explain('shop', byColour))!, /item/)
    assert.match((await inspection.explain('shop', byKey))!, /item_pkey/)
  },
  async 'what is explained does not run'({ inspection, count }) {
    assert.ok(await inspection.scans('shop', 'DELETE FROM item WHERE colour = $1'))
    assert.equal(await inspection.scans('shop', 'SELECT 1; DELETE FROM item'), null)
    assert.ok(await inspection.explain('shop', 'DELETE FROM item'))
    assert.equal(await inspection.explain('shop', 'SELECT 1; DELETE FROM item'), null)
    assert.equal(await count(), inspectedRows)
  },
  async 'a proof shows what the index buys, and leaves none behind'({ inspection, run }) {
    await run(byColour, ['colour-1'], 1)
    const before = await namesOf(inspection)
    const proof = (await inspection.prove('shop', [byColour], onColour, null))!
    assert.ok(proof.used && proof.pagesAfter < proof.pagesBefore / 2, JSON.stringify(proof))
    assert.deepEqual(await namesOf(inspection), before)
  },
  async 'of several statements the one that gains most is told'({ inspection }) {
    const proof = await inspection.prove('shop', [byKey, byColour, 'SELECT FROM nowhere'], onColour, null)
    assert.deepEqual([proof!.text, proof!.used], [byColour, true])
  },
  async 'an index that is not taken is not kept either'({ inspection }) {
    const before = await namesOf(inspection)
    const proof = await inspection.prove('shop', [byKey], onColour, 'item_by_colour')
    assert.equal(proof!.used, false)
    assert.deepEqual(await namesOf(inspection), before)
  },
  async 'an index is kept under its name when that is asked'({ inspection }) {
    await inspection.prove('shop', [byColour], onColour, 'item_by_colour')
    const kept = (await inspection.indexes()).find(one => one.name === 'item_by_colour')
    assert.deepEqual(kept?.columns, onColour.columns)
    assert.deepEqual(await inspection.scans('shop', byColour), [])
  },
  async 'a writing statement is not measured'({ inspection, count }) {
    assert.equal(await inspection.prove('shop', ['DELETE FROM item WHERE colour = $1'], onColour, null), null)
    assert.equal(await inspection.prove('shop', ['WITH gone AS (DELETE FROM item WHERE colour = $1 RETURNING 1) SELECT count(*) FROM gone'], onColour, null), null)
    assert.equal(await count(), inspectedRows)
  },
  async 'a failed proof leaves nothing behind'({ inspection }) {
    const before = await namesOf(inspection)
    await assert.rejects(inspection.prove('shop', [byColour], { ...onColour, columns: [{ column: 'nothing', descending: false }] }, null))
    assert.deepEqual(await namesOf(inspection), before)
  },
  async 'a hypothetical index is judged, or not at all'({ inspection }) {
    assert.notEqual(await inspection.wouldUse('shop', byColour, onColour), false)
    assert.notEqual(await inspection.wouldUse('shop', byKey, onColour), true)
  },
  async 'close may be called twice, and nothing is told afterwards'({ inspection }) {
    await inspection.close()
    await inspection.close()
    await assert.rejects(inspection.tables(), error => isTenfoldError(error) && error.code === 'UNAVAILABLE')
  },
})
