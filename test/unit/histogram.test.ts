/** Histograms: every value in its bucket, quantiles as near as promised, whatever the distribution. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram, histogramBounds, mergeBuckets, quantileOf } from '../../src/base/histogram.ts'
import { MetricRegistry } from '../../src/base/metric-registry.ts'

/** A small generator of its own, the same at every run. */
function drawer(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1_103_515_245 + 12_345) % 2 ** 31) / 2 ** 31
}

test('the bounds grow by a steady factor from 0.25 ms to a minute', () => {
  assert.equal(histogramBounds[0], 0.000_25)
  assert.equal(histogramBounds.at(-1), 63)
  for (let at = 1; at < histogramBounds.length; at++) {
    const factor = histogramBounds[at]! / histogramBounds[at - 1]!
    assert.ok(factor > 1.24 && factor < 1.29, `${histogramBounds[at]}`)
  }
})

test('a value lies at or below its bound and above the one before', () => {
  const draw = drawer(3)
  for (const value of [0, 0.000_25, 0.000_250_001, 1, 63, 63.1, ...Array.from({ length: 2_000 }, () => 10 ** (draw() * 8 - 5))]) {
    const histogram = new Histogram()
    histogram.observe(value)
    const [[index]] = histogram.read().bounded as [[number, number]]
    assert.ok(value <= (histogramBounds[index] ?? Infinity) && value > (histogramBounds[index - 1] ?? -1), String(value))
  }
})

for (const [name, quantile] of [['exponential', (u: number) => -Math.log(1 - u) / 100], ['uniform', (u: number) => 0.01 + u], ['heavy tail', (u: number) => 0.001 * (1 - u) ** -0.7]] as const) {
  test(`quantiles of ${name} values up to p99.9 are within a bucket's width`, () => {
    const histogram = new Histogram()
    const count = 200_000
    for (let index = 0; index < count; index++) histogram.observe(quantile((index + 0.5) / count))
    const { native } = histogram.read()
    for (const share of [0.5, 0.9, 0.99, 0.999]) {
      const [wanted, got] = [quantile(share), quantileOf(native, share)!]
      assert.ok(Math.abs(got / wanted - 1) < 0.044, `p${share}: ${got} for ${wanted}`)
    }
  })
}

test('several are one, an empty one has no quantile', () => {
  const [one, other] = [new Histogram(), new Histogram()]
  for (let index = 0; index < 10; index++) { one.observe(0.001); other.observe(1) }
  const both = mergeBuckets([one.read().native, other.read().native])
  assert.ok(quantileOf(both, 0.25)! < 0.0011 && quantileOf(both, 0.75)! > 0.9)
  assert.equal(quantileOf([], 0.5), null)
})

test('a child is made once, and labels are those of the table', () => {
  const metrics = new MetricRegistry()
  assert.equal(metrics.counter('tenfold_intent_shed_total', 'a.b'), metrics.counter('tenfold_intent_shed_total', 'a.b'))
  assert.throws(() => metrics.counter('tenfold_intent_shed_total'), /has the labels intent, not 0 values/)
  metrics.counter('tenfold_intent_shed_total', 'a.b').add(2)
  const stop = metrics.observeOne('tenfold_limiter_limit', () => 7)
  assert.deepEqual(metrics.read(), [
    { name: 'tenfold_intent_shed_total', samples: [{ labels: { intent: 'a.b' }, value: 2 }] },
    { name: 'tenfold_limiter_limit', samples: [{ labels: {}, value: 7 }] },
  ])
  stop()
  assert.equal(metrics.read().length, 1)
})
