/** The parts of the load generator: histogram, arrivals, traces, draws, answers in pieces, cookies. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { linearTicks, logarithmicTicks } from '../../src/load/chart.ts'
import { CookieJar } from '../../src/load/cookie-jar.ts'
import { exponential, seededFraction, weightedIndex, zipfRank } from '../../src/load/draw.ts'
import { Histogram } from '../../src/load/histogram.ts'
import { Arrivals, constantProfile, parseDuration, parseProfile, valueAt } from '../../src/load/profile.ts'
import { ReceivedAnswer } from '../../src/load/received-answer.ts'
import { traceOf } from '../../src/load/trace.ts'

test('a percentile is within 0.28 % of the value it stands for, also after merging', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 200 }), fc.double({ min: 0.1, max: 100, noNaN: true }), (values, percent) => {
    const parts = [new Histogram(), new Histogram()]
    for (const [index, value] of values.entries()) parts[index % 2]!.record(value)
    const sum = new Histogram()
    for (const part of parts) sum.add(part.sparse())
    const right = values.toSorted((one, other) => one - other)[Math.max(0, Math.ceil(values.length * percent / 100 - 1e-9) - 1)]!
    assert.ok(Math.abs(sum.percentileMs(percent) / right - 1) < 0.0028, `${sum.percentileMs(percent)} for ${right}`)
    assert.equal(sum.count, values.length)
    assert.equal(sum.maxMs, Math.max(...values))
  }))
  assert.equal(new Histogram().percentileMs(99), 0)
})

test('arrivals follow a changing rate', () => {
  const times = (arrivals: Arrivals, gap: () => number, untilMs: number) => {
    const found: number[] = []
    for (let at = arrivals.next(gap()); at !== null && at < untilMs; at = arrivals.next(gap())) found.push(at)
    return found
  }
  const ramp = parseProfile('10..30/10s', '--ramp')
  const constant = times(new Arrivals(ramp), () => 1, 20_001)
  // The area below the ramp is 200, and 30 a second after it.
  assert.deepEqual([constant.filter(at => at < 10_001).length, constant.length], [200, 500])
  const random = seededFraction(1)
  const poisson = times(new Arrivals(ramp), () => exponential(random, 1), 20_000)
  assert.ok(Math.abs(poisson.length - 500) < 70, `${poisson.length}`)
  assert.deepEqual([valueAt(ramp, 0), valueAt(ramp, 5_000), valueAt(ramp, 60_000)], [10, 20, 30])
  assert.deepEqual(times(new Arrivals(constantProfile(4), 1_000), () => 1, 2_000), [1_250, 1_500, 1_750])
  assert.equal(new Arrivals([{ durationMs: 1_000, from: 1, to: 0 }]).next(1), null)
  // Of n shares each takes every n-th.
  const shares = [0, 1, 2].map(index => { let first = true; return times(new Arrivals(constantProfile(9)), () => { const gap = first ? index + 1 : 3; first = false; return gap }, 5_000) })
  assert.deepEqual(shares.flat().toSorted((one, other) => one - other).map(Math.round), times(new Arrivals(constantProfile(9)), () => 1, 5_000).map(Math.round))
  assert.deepEqual([parseDuration('1.5m', '--for'), parseDuration('20', '--for'), parseDuration('250ms', '--for')], [90_000, 20_000, 250])
})

test('a recorded trace is played in time, and scaled', () => {
  const minutes = '# a comment\nminute,count\n0,60\n1,120\n2,0\n3,30\n'
  const { profile, durationMs } = traceOf(minutes, 'trace')
  assert.deepEqual([durationMs, profile.map(one => one.from)], [240_000, [1, 2, 0, 0.5]])
  const quick = traceOf(minutes, 'trace', { speed: 60, peakPerSecond: 100, fromMs: 90_000, durationMs: 2_000 })
  assert.deepEqual([quick.durationMs, quick.profile], [2_000, [{ durationMs: 500, from: 100, to: 100 }, { durationMs: 1_000, from: 0, to: 0 }, { durationMs: 500, from: 25, to: 25 }]])
  const dated = traceOf('timestamp,value\r\n2014-04-10 00:04:00,94.0\r\n2014-04-10 00:09:00,56.0\r\n', 'trace')
  assert.deepEqual([dated.durationMs, dated.profile.map(one => one.durationMs)], [600_000, [300_000, 300_000]])
  for (const [text, message] of [
    ['', /must begin with a head/], ['count,minute\n1,2\n', /must begin with a head/], ['minute,count\n1,2\n', /at least two rows/], ['minute,count\n1,2\nx,3\n', /line 3 .* 'x,3'/],
    ['minute,count\n1,2\n2,-3\n', /line 3/], ['minute,count\n1,2\n2,\n', /line 3/], ['minute,count\n2,2\n1,3\n', /goes back in time in row 2/], ['minute,count\n1,0\n2,0\n', /nothing but zeros/],
  ] as const) assert.throws(() => traceOf(text, 'trace'), { code: 'USAGE', message })
})

test('draws are those of their laws, and the same for the same seed', () => {
  const count = 100_000
  const random = seededFraction(7)
  const ranks = new Array<number>(50).fill(0)
  for (let draw = 0; draw < count; draw++) ranks[zipfRank(random, 50, 1)]!++
  const harmonic = ranks.reduce((sum, _, rank) => sum + 1 / (rank + 1), 0)
  // Five standard deviations.
  for (const [rank, seen] of ranks.entries()) { const right = count / (rank + 1) / harmonic; assert.ok(Math.abs(seen - right) < 5 * Math.sqrt(right), `rank ${rank}: ${seen}, not ${right}`) }
  let sum = 0
  for (let draw = 0; draw < count; draw++) sum += exponential(random, 3)
  assert.ok(Math.abs(sum / count - 3) < 5 * 3 / Math.sqrt(count))
  const weights = [0, 1, 3, 0]
  const chosen = weights.map(() => 0)
  for (let draw = 0; draw < 10_000; draw++) chosen[weightedIndex(random, weights)]!++
  assert.deepEqual([chosen[0], chosen[3]], [0, 0])
  assert.ok(Math.abs(chosen[2]! - 7_500) < 5 * Math.sqrt(1_875))
  const [one, same, other] = [seededFraction(1), seededFraction(1), seededFraction(2)]
  assert.deepEqual(Array.from({ length: 9 }, one), Array.from({ length: 9 }, same))
  assert.notEqual(seededFraction(1)(), other())
})

const wholeAnswers = [
  ['HTTP/1.1 200 OK\r\ncontent-length: 12\r\nx: y\r\n\r\n0\r\n\r\nabcdefg', 200, '0\r\n\r\nabcdefg'],
  ['HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n0\r\n\r\nab\r\n3;x=1\r\ncde\r\n0\r\n\r\n', 201, '0\r\n\r\nabcde'],
  ['HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n', 204, ''],
  ['HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno', 404, 'no'],
] as const

test('an answer is whole when its last byte has come, however it is cut', () => {
  fc.assert(fc.property(fc.constantFrom(...wholeAnswers), fc.array(fc.nat(120)), ([text, status, body], cuts) => {
    const answer = new ReceivedAnswer()
    const bytes = Buffer.from(text)
    const places = [...new Set([0, ...cuts.filter(cut => cut < bytes.length), bytes.length])].sort((one, other) => one - other)
    const verdicts = places.slice(1).map((to, index) => answer.receive(bytes.subarray(places[index], to)))
    assert.deepEqual(verdicts, verdicts.map((_, index) => index === verdicts.length - 1))
    assert.deepEqual([answer.status, answer.body.toString(), answer.closes], [status, body, status === 204])
    const counted = new ReceivedAnswer()
    const used = Buffer.alloc(bytes.length)
    const same = places.slice(1).map((to, index) => {
      // The memory of one chunk is that of the next.
      bytes.copy(used.fill(0), 0, places[index], to)
      return counted.count(used.subarray(0, to - places[index]!))
    })
    assert.deepEqual([same, counted.status, counted.closes], [verdicts, status, status === 204])
  }), { numRuns: 2_000 })
  const untilClose = new ReceivedAnswer()
  assert.equal(untilClose.receive(Buffer.from('HTTP/1.1 200 OK\r\n\r\nab')), false)
  assert.deepEqual([untilClose.finish(), untilClose.body.toString()], [true, 'ab'])
})

test('cookies go back until their time is over', () => {
  const jar = new CookieJar()
  jar.take('a=1; Path=/; HttpOnly')
  jar.take('b=2=2; Max-Age=60')
  jar.take('c=3; Expires=Thu, 01 Jan 1970 00:00:00 GMT')
  assert.equal(jar.header(), 'a=1; b=2=2')
  jar.take('a=; Max-Age=0')
  assert.equal(jar.header(), 'b=2=2')
})

test('the ticks of a chart are round and hold all of it', () => {
  assert.deepEqual(linearTicks([0, 37]), [0, 10, 20, 30, 40])
  assert.deepEqual(linearTicks([0]), [0, 0.25, 0.5, 0.75, 1])
  assert.deepEqual(logarithmicTicks([3, 40]), [2, 5, 10, 20, 50])
  assert.deepEqual(logarithmicTicks([0.3, 900]), [0.1, 1, 10, 100, 1_000])
  fc.assert(fc.property(fc.double({ min: 0.001, max: 1e6, noNaN: true }), fc.double({ min: 1, max: 1e4, noNaN: true }), (low, factor) => {
    const ticks = logarithmicTicks([low, low * factor])
    assert.ok(ticks.length > 1 && ticks[0]! <= low * 1.000001 && ticks.at(-1)! >= low * factor * 0.999999, `${ticks.join(' ')} for ${low} to ${low * factor}`)
  }))
})
