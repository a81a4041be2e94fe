/**
 * The metrics of the engines of a deployment: the supervisor asks them when somebody looks,
 * and no process does, so that they are told once, and also when every process is in trouble.
 */
import { isTenfoldError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { MetricReading } from '../base/metric-registry.ts'
import { monotonicMs } from '../base/time.ts'
import type { Activity, Measurements } from '../ports/measurements.ts'

/** An engine that takes longer is told as down, and the rest of the page is not kept waiting. */
export const engineTimeoutMs = 2_000

export interface EngineMetrics {
  read(): Promise<readonly MetricReading[]>
  /** What all engines do at this moment; null when one does not tell in time. */
  activity(): Promise<readonly Activity[] | null>
}

/** `engines`: by their name. */
export function engineMetrics(engines: Readonly<Record<string, Measurements>>, log: Logger): EngineMetrics {
  let reading: Promise<readonly MetricReading[]> | undefined
  const readAll = async () => (await Promise.all(Object.entries(engines).map(([name, engine]) => readOne(name, engine, log)))).flat()
  // Who looks while another does gets the same answer.
  return {
    read: () => reading ??= readAll().finally(() => { reading = undefined }),
    async activity() {
      const told = await Promise.all(Object.values(engines).map(engine => engine.activity?.(engineTimeoutMs) ?? [])).catch((error: unknown) => {
        if (!isTenfoldError(error)) throw error
        return null
      })
      return told && told.flat()
    },
  }
}

async function readOne(engine: string, measurements: Measurements, log: Logger): Promise<readonly MetricReading[]> {
  const startedAtMs = monotonicMs()
  const told = await measurements.read(engineTimeoutMs).catch((error: unknown) => {
    if (!isTenfoldError(error)) throw error
    log.debug({ err: error, engine }, 'an engine did not tell its measurements')
    return null
  })
  const sample = (name: MetricReading['name'], value: number): MetricReading => ({ name, samples: [{ labels: { engine }, value }] })
  return [sample('tenfold_engine_up', told ? 1 : 0), sample('tenfold_engine_read_seconds', (monotonicMs() - startedAtMs) / 1_000), ...told ?? []]
}
