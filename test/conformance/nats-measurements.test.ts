/** The measurements port's suite against a real NATS server: what it tells of jobs and of itself. How far consumers are the database tells. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { Closers } from '../../src/base/lifecycle.ts'
import { silentLogger } from '../../src/base/log.ts'
import { many, record, until } from '../../src/conformance/bus-recorder.ts'
import { verify } from '../../src/conformance/check.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { measurementsSuite } from '../../src/conformance/measurements.ts'
import type { MeasurementsSubject } from '../../src/conformance/measurements.ts'
import { openNatsMeasurements } from '../../src/drivers/nats/measurements.ts'
import { openNatsQueue } from '../../src/drivers/nats/queue.ts'
import { openPostgresMeasurements } from '../../src/drivers/postgres/measurements.ts'
import { scratchRuntime } from '../support/bus-queue-drivers.ts'
import { proxyTo } from '../support/measurements-driver.ts'
import { natsBus } from '../support/nats-drivers.ts'
import { scratchNats } from '../support/nats.ts'

const skip = skipWithout('nats')
/** Of consumers, which are measured where they are written down. */
const elsewhere = ['a consumer for whom nothing waits is told as zero', 'what waits is counted by consumer, with the age of the oldest', 'what failed is parked, what failed for the last time is dead']

const driver: Driver<MeasurementsSubject> = {
  name: 'nats', faults: ['hang', 'cut'],
  async open() {
    const closers = new Closers()
    const scratch = await scratchRuntime(closers)
    const nats = await scratchNats()
    const proxy = await proxyTo(nats.url)
    closers.add(() => proxy.close())
    const bus = natsBus({ ...nats, databaseUrl: scratch.url })
    const queue = openNatsQueue({ ...nats, replicas: 1, log: silentLogger })
    const measurements = openNatsMeasurements({ ...nats, url: proxy.url, partitions: 1, jobs: true, log: silentLogger })
    for (const one of [bus, queue, measurements]) {
      closers.add(() => one.close())
      await one.open()
    }
    // The streams are made.
    await queue.depth()
    return {
      subject: {
        bus, queue, measurements, connections: async () => proxy.connections(), cut: async () => proxy.cut(),
        hang: async () => { const resume = proxy.hang(); return async () => resume() },
      },
      close: () => closers.close(),
    }
  },
}

for (const one of verify(measurementsSuite, driver).filter(({ name }) => !elsewhere.some(check => name.endsWith(check)))) test(one.name, { skip: skip || one.skip }, () => one.run())

test('the streams, and how far consumers are', { skip, timeout: 120_000 }, async t => {
  const closers = new Closers()
  t.after(() => closers.close())
  const scratch = await scratchRuntime(closers)
  const nats = await scratchNats()
  const bus = natsBus({ ...nats, databaseUrl: scratch.url })
  closers.add(() => bus.close())
  await bus.open()
  const hung = Promise.withResolvers<void>()
  const { got } = await record(bus, () => hung.promise)
  await bus.publish(many(3))
  const engines = [openNatsMeasurements({ ...nats, partitions: 1, jobs: false, log: silentLogger }), openPostgresMeasurements({ url: scratch.url, jobs: false })]
  for (const one of engines) closers.add(() => one.close())
  const told = async (metric: string, label: string) => (await Promise.all(engines.map(one => one.read(10_000)))).flat().filter(one => one.name === metric)
    .flatMap(one => one.samples).find(one => Object.values(one.labels).includes(label)) as { value: number } | undefined
  await until('three wait', async () => (await told('tenfold_bus_waiting', 'test'))?.value === 3, 60_000)
  assert.equal((await told('tenfold_broker_stored_messages', 'events'))?.value, 3)
  assert.ok((await told('tenfold_broker_stored_bytes', 'events'))!.value > 300)
  assert.equal((await told('tenfold_bus_waiting', 'tenfold.broker'))?.value, 0)
  hung.resolve()
  await until('none waits', async () => (await told('tenfold_bus_waiting', 'test'))?.value === 0 && got.length === 3, 60_000)
})
