/** What every driver of the measurements port must do: tell what is so, in the words of the table, in time. */
import assert from 'node:assert/strict'
import { isTenfoldError } from '../base/errors.ts'
import { newId } from '../base/id.ts'
import { metricTable } from '../base/metric-table.ts'
import type { MetricEntry, MetricName } from '../base/metric-table.ts'
import type { Labels, NumberSample } from '../base/metric-registry.ts'
import { after, monotonicMs, now } from '../base/time.ts'
import type { Bus } from '../ports/bus.ts'
import type { Measurements } from '../ports/measurements.ts'
import type { Job, Queue } from '../ports/queue.ts'
import { many, message, name, record, until } from './bus-recorder.ts'
import { suite } from './check.ts'

export interface MeasurementsSubject {
  readonly measurements: Measurements
  /** Connections of the measurements to the engine. */
  connections(): Promise<number>
  /** Fault 'hang': what the engine is asked it does not answer, until the returned function is called. */
  hang?(): Promise<() => Promise<void>>
  /** Fault 'cut': every connection to the engine breaks. */
  cut?(): Promise<void>
}

/** Of an engine that holds events and jobs. */
export interface BacklogSubject extends MeasurementsSubject {
  readonly bus: Bus
  readonly queue: Queue
  /** One connection of the service 'shop' holds a lock, idle within its transaction, and another one waits for it, until the returned function is called. */
  contend(): Promise<() => Promise<void>>
}

const timeoutMs = 10_000
/** A machine that is busy is slow; one that waits for ever is slower. */
const patienceMs = 8_000
const consumer = { consumer: 'reader' }

async function valueOf(measurements: Measurements, metric: MetricName, labels: Labels = {}): Promise<number | undefined> {
  const readings = await measurements.read(timeoutMs)
  const samples = readings.filter(one => one.name === metric).flatMap(one => one.samples) as readonly NumberSample[]
  return samples.find(sample => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))?.value
}

const valuesOf = async (measurements: Measurements, labels: Labels, ...metrics: readonly MetricName[]): Promise<(number | undefined)[]> => {
  const values: (number | undefined)[] = []
  for (const metric of metrics) values.push(await valueOf(measurements, metric, labels))
  return values
}

const job = (more: Partial<Job> = {}): Job => ({ id: newId(1), name: 'mail.send', payload: null, attemptsMax: 3, ...more })
const failing = async () => { throw new Error('it fails') }

export const measurementsSuite = suite<MeasurementsSubject>('measurements', {
  'only metrics of engines are told, each once, with the labels of the table'({ measurements }) {
    return measurements.read(timeoutMs).then(readings => {
      assert.ok(readings.length > 0)
      assert.equal(new Set(readings.map(one => one.name)).size, readings.length)
      for (const { name, samples } of readings) {
        const entry: MetricEntry = metricTable[name]
        assert.equal(entry.of, 'engine', name)
        assert.equal(new Set(samples.map(sample => JSON.stringify(sample.labels))).size, samples.length, name)
        for (const sample of samples as readonly NumberSample[]) {
          assert.deepEqual(Object.keys(sample.labels), [...entry.labels], name)
          assert.ok(Number.isFinite(sample.value) && sample.value >= 0, `${name} ${sample.value}`)
        }
      }
    })
  },
  async 'many who ask cost one connection'({ measurements, connections }) {
    await Promise.all(Array.from({ length: 8 }, () => measurements.read(timeoutMs)))
    assert.ok(await connections() <= 1)
  },
  'an engine that hangs is told in time, and is found again': {
    fault: 'hang',
    async run({ measurements, hang }) {
      await measurements.read(timeoutMs)
      const resume = await hang!()
      try {
        const startedAtMs = monotonicMs()
        const outcomes = await Promise.race([Promise.allSettled([measurements.read(300), measurements.read(300)]), new Promise<void>(resolve => { after(patienceMs, resolve, true) })])
        assert.ok(outcomes && monotonicMs() - startedAtMs < patienceMs, 'it waits no longer than it was told')
        for (const one of outcomes) assert.ok(one.status === 'rejected' && isTenfoldError(one.reason) && one.reason.code === 'UNAVAILABLE')
      } finally { await resume() }
      await until('it is found again', () => measurements.read(timeoutMs).then(readings => readings.length > 0, () => false))
    },
  },
  'a cut connection is opened again': {
    fault: 'cut',
    async run({ measurements, cut }) {
      await measurements.read(timeoutMs)
      await cut!()
      await until('it is found again', () => measurements.read(timeoutMs).then(readings => readings.length > 0, (error: unknown) => {
        assert.ok(isTenfoldError(error))
        return false
      }))
    },
  },
})

/** Beyond that: what an engine that holds events and jobs must tell of them. */
export const backlogSuite = suite<BacklogSubject>('measurements', {
  async 'a consumer for whom nothing waits is told as zero'({ measurements, bus }) {
    assert.equal(await valueOf(measurements, 'tenfold_bus_waiting', consumer), undefined)
    await record(bus, undefined, consumer)
    await until('it is told', async () => await valueOf(measurements, 'tenfold_bus_waiting', consumer) !== undefined)
    assert.deepEqual(await valuesOf(measurements, consumer, 'tenfold_bus_waiting', 'tenfold_bus_oldest_seconds', 'tenfold_bus_parked', 'tenfold_bus_dead_letters'), [0, 0, 0, 0])
  },
  async 'what waits is counted by consumer, with the age of the oldest'({ measurements, bus }) {
    const first = await record(bus, undefined, consumer)
    await bus.publish(many(2))
    await until('the first two', () => first.got.length === 2)
    await first.subscribed.stop()
    await bus.publish([message('a', {}, { atMs: now() - 60_000 }), ...many(2)])
    await bus.publish([message('a', {}, { name: 'shop.paid' })])
    assert.equal(await valueOf(measurements, 'tenfold_bus_waiting', consumer), 3)
    const oldest = (await valueOf(measurements, 'tenfold_bus_oldest_seconds', consumer))!
    assert.ok(oldest >= 60 && oldest < 600, String(oldest))
    const again = await record(bus, undefined, consumer)
    await until('the rest', () => again.got.length === 3)
    await until('nothing waits', async () => await valueOf(measurements, 'tenfold_bus_waiting', consumer) === 0)
    assert.equal(await valueOf(measurements, 'tenfold_bus_oldest_seconds', consumer), 0)
  },
  async 'what failed is parked, what failed for the last time is dead'({ measurements, bus }) {
    const backoff = { baseMs: 60_000, capMs: 60_000 }
    await bus.subscribe({ ...consumer, names: [name], attemptsMax: 5, backoff, handle: failing })
    await bus.subscribe({ consumer: 'impatient', names: [name], attemptsMax: 1, backoff, handle: failing })
    await bus.publish([message('a'), message('b')])
    const told = () => Promise.all([consumer, { consumer: 'impatient' }].map(labels => valuesOf(measurements, labels, 'tenfold_bus_parked', 'tenfold_bus_dead_letters')))
    await until('both have failed', async () => {
      const [patient, impatient] = await told()
      return patient![0] === 2 && impatient![1] === 2
    })
    assert.deepEqual(await told(), [[2, 0], [0, 2]])
  },
  async 'jobs are counted by state, with the age of the oldest that waits'({ measurements, queue }) {
    const states = async () => {
      const counts: (number | undefined)[] = []
      for (const state of ['waiting', 'running', 'scheduled', 'dead']) counts.push(await valueOf(measurements, 'tenfold_queue_jobs', { state }))
      return counts
    }
    assert.deepEqual(await states(), [0, 0, 0, 0])
    assert.equal(await valueOf(measurements, 'tenfold_queue_oldest_seconds'), 0)
    await queue.enqueue([job({ runAtMs: now() - 60_000 }), job(), job({ runAtMs: now() + 3_600_000 }), job({ name: 'mail.fail', attemptsMax: 1 })])
    assert.deepEqual(await states(), [3, 0, 1, 0])
    const oldest = (await valueOf(measurements, 'tenfold_queue_oldest_seconds'))!
    assert.ok(oldest >= 60 && oldest < 600, String(oldest))
    const held = Promise.withResolvers<void>()
    const working = await queue.work({ names: ['mail.send', 'mail.fail'], concurrency: 4, handle: ({ job }) => job.name === 'mail.fail' ? failing() : held.promise })
    await until('two run, one is dead', async () => JSON.stringify(await states()) === '[0,2,1,1]')
    assert.equal(await valueOf(measurements, 'tenfold_queue_oldest_seconds'), 0)
    held.resolve()
    await working.stop(1_000)
    assert.deepEqual(await states(), [0, 0, 1, 1])
  },
  async 'what waits for a lock and what holds it are told while it lasts'({ measurements, contend }) {
    // Until it waits it runs, for a moment.
    const told = async () => (await measurements.activity!(timeoutMs)).filter(one => one.service === 'shop').map(({ doing, holds, intent }) => ({ doing, holds, intent })).sort((a, b) => a.doing < b.doing ? -1 : 1)
    assert.deepEqual(await told(), [])
    const release = await contend()
    try {
      await until('one waits', async () => (await told()).some(one => one.doing === 'lock'))
      assert.deepEqual(await told(), [{ doing: 'client', holds: true, intent: 'shop.hold' }, { doing: 'lock', holds: false, intent: 'shop.wait' }])
    } finally { await release() }
    await until('both are gone', async () => (await told()).length === 0)
  },
})
