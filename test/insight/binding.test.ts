/** The rules of the diagnosis and of the gain, on tables of evidence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { attribute } from '../../src/insight/binding/attribution.ts'
import { bindingOf, bindingText } from '../../src/insight/binding/binding.ts'
import { diagnose } from '../../src/insight/binding/diagnosis.ts'
import type { Evidence } from '../../src/insight/binding/evidence.ts'
import { gainOf } from '../../src/insight/binding/gain.ts'
import type { Finding } from '../../src/insight/finding.ts'
import { updated } from '../../src/insight/ledger.ts'

const idle = { cpu: 0, lock: 0, log: 0, data: 0, pause: 0, client: 0, other: 0 }
const configured = { topology: '1-monolith', hasCache: false, nextTopology: '2-tuned', processes: 1 }

/** Ten requests under way of 100 ms each, of one intent; `at` says where. */
function evidence(at: Evidence['intents'][number]['at'], doing: Partial<typeof idle>, more: Partial<Evidence> = {}): Evidence {
  return {
    at: '2026-11-25T00:00:00.000Z', seconds: 10, application: 'shop', topology: '1-monolith', cores: 4, machineCpu: 1,
    requests: { perSecond: 100, meanMs: 100, inFlight: 10, shedPerSecond: 0 },
    processes: [{ process: 'app-0', answersRequests: true, loop: 0.3, cpu: 0.3, cpuWait: 0, loopDelayMs: 1 }],
    pools: [{ service: 'shop', pool: 'write', max: 8, used: 2, waiting: 0 }, { service: 'shop', pool: 'read', max: 3, used: 1, waiting: 0 }],
    connectionsPerService: 40, intents: [{ intent: 'shop.list', perSecond: 100, at }],
    activity: { samples: 100, services: [{ service: 'shop', doing: { ...idle, ...doing } }], intents: [], holders: [] },
    databaseCpu: 0.2, databaseCpuWait: 0, statements: [], ghosts: [], generator: null, ...more,
  }
}

const process = (loop: number, more = {}): Evidence['processes'] => [{ process: 'app-0', answersRequests: true, loop, cpu: loop, cpuWait: 0, loopDelayMs: 60, ...more }]
const pools = (waiting: number, pool = 'write'): Evidence['pools'] => [{ service: 'shop', pool, max: pool === 'write' ? 8 : 3, used: pool === 'write' ? 8 : 3, waiting }]

const cases: Readonly<Record<string, readonly [Evidence, verdict: string, blind?: string]>> = {
  'locks, and no decoy': [evidence({ own: 0.5, statement: 9.5 }, { lock: 9.5 }), 'locks'],
  'a full pool whose holders wait for locks': [evidence({ own: 0.5, pool: 3, statement: 6.5 }, { lock: 6, cpu: 0.5, client: 1 }, { pools: pools(3) }), 'locks', 'pool'],
  'a full pool whose holders wait for the log': [evidence({ own: 0.5, pool: 4, commit: 5, statement: 0.5 }, { log: 6, cpu: 0.5 }, { pools: pools(4) }), 'log', 'pool'],
  'a full pool whose holders do something else': [evidence({ own: 3, pool: 6, statement: 1 }, { cpu: 1, client: 7 }, { pools: pools(6), processes: process(0.4) }), 'pool'],
  'a full pool whose holders compute, and no processor is free': [evidence({ own: 0.5, pool: 3, statement: 6.5 }, { cpu: 6.5 }, { pools: pools(3), databaseCpu: 3.6, databaseCpuWait: 2.4 }), 'database'],
  'statements behind others on the same connections': [evidence({ own: 0.5, statement: 9.5 }, { pause: 3 }, { pools: pools(6.5, 'read') }), 'pool'],
  'statements that compute': [evidence({ own: 0.5, statement: 9.5 }, { cpu: 9.5 }, { databaseCpu: 3.5 }), 'database'],
  'a loop that is never idle': [evidence({ own: 6, statement: 4 }, { cpu: 0.2 }, { processes: process(0.99), pools: pools(3.5, 'read') }), 'event-loop', 'pool'],
  'a handler that waits for what nobody sees': [evidence({ own: 9, statement: 1 }, { cpu: 1 }), 'outside'],
  'reading from disk': [evidence({ own: 0.5, statement: 9.5 }, { data: 9, cpu: 0.5 }), 'data'],
  'others have the processors, and ours would be idle': [evidence({ own: 9.5, statement: 0.5 }, { cpu: 0.5 }, { machineCpu: 4, processes: process(0.5, { cpu: 0.05, cpuWait: 0.45 }) }), 'machine'],
  'others have the processors, and a lock is waited for longer': [evidence({ own: 2, statement: 8 }, { lock: 7.5, cpu: 0.5 }, { machineCpu: 4, processes: process(0.5, { cpu: 0.05, cpuWait: 0.45 }) }), 'locks'],
  'ours have the processors': [evidence({ own: 9.5, statement: 0.5 }, { cpu: 0.5 }, { machineCpu: 4, databaseCpu: 3, processes: process(0.99, { cpu: 0.8, cpuWait: 0.19 }) }), 'event-loop'],
}

for (const [name, [seen, verdict, blind]] of Object.entries(cases)) {
  test(`${name}: ${verdict}`, () => {
    const found = diagnose(seen)
    assert.equal(found.verdict, verdict, JSON.stringify(found, null, 1))
    const sum = found.parts.reduce((total, one) => total + one.msPerRequest, 0)
    assert.ok(Math.abs(sum - 100) < 5, `${sum} ms of 100 are told`)
    if (blind) assert.equal(diagnose(seen, { waits: false }).verdict, blind, 'without waits the decoy is blamed')
  })
}

test('quick requests need nothing, whatever is in use', () => {
  const quick = { perSecond: 100, meanMs: 3, inFlight: 0.3, shedPerSecond: 0 }
  const seen = evidence({ own: 0.1, statement: 0.2 }, { cpu: 0.2 }, { requests: quick, pools: pools(0) })
  assert.equal(diagnose(seen).verdict, 'none')
  const { proposal } = bindingOf(seen, [], configured)
  assert.equal(proposal.kind, 'nothing')
  assert.match(proposal.text, /^do nothing/)
  assert.deepEqual(proposal.gain.map(one => Number(one.toFixed(6))), [0.75, 1.5], 'a millisecond of three is noticed by nobody')
})

test('what does not add up is unexplained, with what is missing', () => {
  const requests = { perSecond: 100, meanMs: 100, inFlight: 10.6, shedPerSecond: 0 }
  assert.match(diagnose(evidence({ own: 0.5, statement: 9.5 }, { lock: 9.5 }, { requests })).summary, /^unexplained: 10\.60 requests are under way, but rate times time makes 10\.00/)
  assert.equal(diagnose(evidence({ own: 0.5, statement: 9.5 }, { lock: 9.5 }, { requests: { ...requests, inFlight: 10.4 } })).verdict, 'locks', 'within 5 %')
  assert.match(diagnose(evidence({}, {}, { intents: [] })).summary, /^unexplained: .* are at no place that is measured/)
  assert.match(diagnose(evidence({ own: 1 }, {}, { requests: { ...requests, perSecond: 2 } })).summary, /too few requests: 20/)
  const { proposal } = bindingOf(evidence({}, {}, { intents: [] }), [], configured)
  assert.equal(proposal.kind, 'nothing')
})

test('a generator that is full, and a server with little to do', () => {
  const generator = { inFlight: 4, meanMs: 40, loop: 0.98, lateShare: 0.5 }
  const requests = { perSecond: 100, meanMs: 3, inFlight: 0.3, shedPerSecond: 0 }
  assert.equal(diagnose(evidence({ own: 0.1, statement: 0.2 }, { cpu: 0.2 }, { requests, generator })).verdict, 'generator')
  assert.equal(diagnose(evidence({ own: 0.5, statement: 9.5 }, { lock: 9.5 }, { generator: { ...generator, inFlight: 10 } })).verdict, 'locks', 'busy, but the requests are at the server')
})

test('a deployment that does next to nothing has a gain that is a number', () => {
  const slow = evidence({ commit: 10 }, { log: 9 }, { processes: process(0, { cpu: 0, loopDelayMs: 0 }), databaseCpu: 0 })
  const gain = gainOf(slow, attribute(slow).parts, { left: part => part.resource === 'log' ? [0, 0] : [1, 1] })
  assert.ok(gain.every(Number.isFinite), gain.join())
})

test('a step that takes half of the time away makes requests twice as quick, or what then binds says', () => {
  const locked = evidence({ own: 5, statement: 5 }, { lock: 5 }, { processes: process(0.1, { loopDelayMs: 60 }) })
  const { parts } = attribute(locked)
  const without = gainOf(locked, parts, { left: part => part.resource === 'locks' ? [0, 0] : [1, 1] })
  assert.ok(without[0] < 2 && without[1] > 2, without.join())
  // The loop is at work for 9 ms of each: ten at a time cannot be quicker than 90 ms.
  const busy = evidence({ own: 5, statement: 5 }, { lock: 5 }, { processes: process(0.9) })
  const bound = gainOf(busy, attribute(busy).parts, { left: part => part.resource === 'locks' ? [0, 0] : [1, 1] })
  assert.ok(bound[1] < 2.2 && bound[0] < 1.2, bound.join())
})

const statement = { service: 'shop', text: 'SELECT 1', intents: ['shop.list'], perSecond: 100, meanMs: 90 }
const finding: Finding = {
  kind: 'missing-index', intents: ['shop.list'], summary: 'an index on shop.item (colour) would end reading the whole table', evidence: [], mend: '',
  index: { service: 'shop', table: 'item', name: 'item_by_colour', columns: [{ column: 'colour', descending: false }] }, statements: { service: 'shop', texts: ['SELECT 1'] },
  migration: { service: 'shop', file: '0002-item-by-colour.sql', sql: 'CREATE INDEX item_by_colour ON item (colour);' },
}
const computing = (more: Partial<Evidence> = {}) => evidence({ own: 1, statement: 9 }, { cpu: 9 }, { databaseCpu: 2.5, statements: [statement], ...more })
const ghost = { intent: 'shop.list', requests: 500, keys: 100, freshMs: 10_000, isDeclared: false, bytesPerAnswer: 2_000, sizes: [{ bytesMax: 67_108_864, hits: [0.7, 0.9] as const }] }

test('computing in the database: an index where one is missing, else kept answers, else other statements', () => {
  const index = bindingOf(computing(), [finding], configured).proposal
  assert.equal(index.kind, 'add-index')
  assert.match(index.command!, /CREATE INDEX item_by_colour/)
  const kept = bindingOf(computing({ ghosts: [ghost] }), [], configured).proposal
  assert.equal(kept.kind, 'keep-answers')
  assert.match(kept.text, /70 to 90 % would be hits/)
  assert.match(kept.command!, /freshness: \{ freshMs: 10000 \} in shop\.list, if its answers may be that old/)
  assert.ok(kept.gain[0] > 1.5 && kept.gain[1] < 40, kept.gain.join())
  assert.equal(bindingOf(computing({ ghosts: [{ ...ghost, sizes: [{ bytesMax: 67_108_864, hits: [0.1, 0.9] }] }] }), [], configured).proposal.kind, 'change-code', 'few are asked again')
  assert.equal(bindingOf(computing({ ghosts: [ghost] }), [], { ...configured, hasCache: true }).proposal.kind, 'change-code')
})

test('a full loop: the next topology where processors are free, else less to compute', () => {
  const full = (machineCpu: number) => bindingOf(evidence({ own: 9, statement: 1 }, { cpu: 0.5 }, { processes: process(0.99), machineCpu }), [], configured).proposal
  assert.equal(full(1.5).kind, 'next-topology')
  assert.equal(full(1.5).command, 'tenfold start --topology 2-tuned')
  assert.ok(full(1.5).gain[0] > 1.1 && full(1.5).gain[1] < 4, full(1.5).gain.join())
  assert.equal(full(3.9).kind, 'change-code')
  assert.equal(bindingOf(evidence({ own: 9, statement: 1 }, { cpu: 0.5 }, { processes: process(0.99) }), [], { ...configured, nextTopology: null }).proposal.kind, 'add-process')
})

test('connections: as many as are asked for, or as Postgres leaves, and then the rest still waits', () => {
  const waits = (connectionsPerService: number | null) => bindingOf(evidence({ own: 0.5, statement: 9.5 }, { pause: 3 }, { pools: pools(6.5, 'read'), connectionsPerService }), [], configured).proposal
  assert.match(waits(40).command!, /connections: \{ read: 13, write: 8 \}/)
  assert.deepEqual([waits(null).command, waits(null).gain], [waits(40).command, waits(40).gain])
  const few = waits(8)
  assert.match(few.command!, /connections: \{ read: 7, write: 1 \}/)
  assert.match(few.why.join(), /13 would do, and max_connections of Postgres leaves 8/)
  assert.ok(few.gain[1] < waits(40).gain[1], 'some still wait')
  const none = waits(4)
  assert.equal(none.command, null)
  assert.match(none.text, /^raise max_connections/)
})

test('the text names what binds, what does not and why, the step, the command and the gain', () => {
  const text = bindingText(bindingOf(computing(), [finding], configured))
  for (const line of [/^binds: computing in the database binds: 90\.0 of the 100\.0 ms/, /Little's law/, /not +event-loop/, /step +an index on/, /command +shop\/migrations\/0002/, /gain +requests .* times as quick/]) assert.match(text, line)
})

test('the ledger: a step is noted once, seen when it was taken, and measured on similar requests only', () => {
  const known = (seen: Evidence, indexes: Parameters<typeof updated>[1]['indexes'] = []) => ({ evidence: seen, configured, indexes })
  const first = updated([], known(computing()), bindingOf(computing(), [finding], configured))
  assert.equal(first.length, 1)
  assert.equal(updated(first, known(computing()), bindingOf(computing(), [finding], configured)).length, 1, 'proposed again')
  const index = { ...finding.index!, name: 'other', unique: false, plain: true, bytes: 1, scans: 0 }
  const quick = evidence({ own: 0.9, statement: 0.1 }, { cpu: 0.1 }, { requests: { perSecond: 1_000, meanMs: 1, inFlight: 1, shedPerSecond: 0 }, intents: [{ intent: 'shop.list', perSecond: 1_000, at: { own: 0.9, statement: 0.1 } }] })
  const none = bindingOf(quick, [], configured)
  assert.equal(updated(first, known(quick), none)[0]!.takenAt, null, 'quick for another reason')
  const taken = updated(first, known(quick, [index]), none)[0]!
  assert.equal(taken.takenAt, quick.at)
  assert.ok(Math.abs(taken.measured!.gain - 100) < 5, JSON.stringify(taken.measured))
  const others = { ...quick, intents: [{ intent: 'shop.buy', perSecond: 1_000, at: { own: 1 } }] }
  const elsewhere = updated(first, known(others, [index]), none)[0]!
  assert.ok(elsewhere.takenAt !== null && elsewhere.measured === null)
  assert.ok(updated([elsewhere], known(quick, [index]), none)[0]!.measured, 'measured when they come back')
})
