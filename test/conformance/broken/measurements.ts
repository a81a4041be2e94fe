/** Measurements that are wrong on purpose: the suite must notice. */
import type { NumberSample } from '../../../src/base/metric-registry.ts'
import type { Measurements } from '../../../src/ports/measurements.ts'

const over = (measurements: Measurements, read: Measurements['read']): Measurements => ({ open: () => measurements.open(), close: () => measurements.close(), activity: timeoutMs => measurements.activity!(timeoutMs), read })

/** Leaves out what is zero. */
export const leavesOutZeros = (measurements: Measurements): Measurements => over(measurements, async timeoutMs =>
  (await measurements.read(timeoutMs)).map(reading => ({ ...reading, samples: (reading.samples as readonly NumberSample[]).filter(sample => sample.value !== 0) })))

/** Has all the time in the world. */
export const waitsForEver = (measurements: Measurements): Measurements => over(measurements, () => measurements.read(3_600_000))

/** Tells what it was told first. */
export const remembers = (measurements: Measurements): Measurements => {
  let first: ReturnType<Measurements['read']> | undefined
  return over(measurements, timeoutMs => first ??= measurements.read(timeoutMs))
}

/** Does not see what others wait for. */
export const seesNoLocks = (measurements: Measurements): Measurements => ({
  open: () => measurements.open(), close: () => measurements.close(), read: timeoutMs => measurements.read(timeoutMs),
  activity: async timeoutMs => (await measurements.activity!(timeoutMs)).map(one => ({ ...one, doing: one.doing === 'lock' ? 'cpu' : one.doing })),
})
