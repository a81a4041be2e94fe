/** The measurements port on Redis: what INFO tells, over one connection that is opened anew when it breaks. */
import { fault, isTenfoldError } from '../../base/errors.ts'
import type { MetricName } from '../../base/metric-table.ts'
import type { MetricReading } from '../../base/metric-registry.ts'
import { after } from '../../base/time.ts'
import type { Measurements } from '../../ports/measurements.ts'
import { RedisConnection } from './connection.ts'
import type { RedisOptions } from './connection.ts'

export interface RedisMeasurementsOptions extends Omit<RedisOptions, 'callMs'> {
  /** Which of several it is. */
  readonly server: string
}

/** Longer than anybody waits here: each reading has a time of its own. */
const callMs = 5_000

export function openRedisMeasurements(options: RedisMeasurementsOptions): Measurements {
  let connection: RedisConnection | null = null
  let opening: Promise<void> = Promise.resolve()
  let closed = false
  const connected = async () => {
    if (closed) throw fault('UNAVAILABLE', 'the measurements are closed')
    if (!connection) {
      connection = new RedisConnection({ ...options, callMs })
      opening = connection.open()
    }
    await opening
    return connection
  }
  /** Who was not answered begins anew. */
  const drop = () => {
    const dropped = connection
    connection = null
    void dropped?.close()
  }
  const read = async () => readingsOf(String(await (await connected()).call(['INFO'])), options.server)
  return {
    open: async () => { await connected() },
    async close() {
      closed = true
      await connection?.close()
    },
    async read(timeoutMs) {
      const { promise, reject } = Promise.withResolvers<never>()
      const cancel = after(timeoutMs, () => { drop(); reject(fault('UNAVAILABLE', `Redis did not tell its measurements within ${timeoutMs} ms`)) })
      try {
        return await Promise.race([read(), promise])
      } catch (error) {
        throw isTenfoldError(error) ? error : fault('UNAVAILABLE', (error as Error).message, { cause: error })
      } finally { cancel() }
    },
  }
}

const fields: Readonly<Partial<Record<MetricName, string>>> = {
  tenfold_redis_memory_bytes: 'used_memory', tenfold_redis_memory_limit_bytes: 'maxmemory', tenfold_redis_hits_total: 'keyspace_hits', tenfold_redis_misses_total: 'keyspace_misses',
  tenfold_redis_evictions_total: 'evicted_keys', tenfold_redis_commands_total: 'total_commands_processed', tenfold_redis_connections: 'connected_clients',
}

function readingsOf(text: string, server: string): MetricReading[] {
  const told = new Map([...text.matchAll(/^(\w+):([^\r\n]*)/gm)].map(([, name, value]) => [name!, value!]))
  const labels = { server }
  const readings = (Object.entries(fields) as [MetricName, string][]).map(([name, field]): MetricReading => ({ name, samples: [{ labels, value: Number(told.get(field)) }] }))
  let keys = 0
  for (const [name, value] of told) if (/^db\d+$/.test(name)) keys += Number(/keys=(\d+)/.exec(value)![1])
  const limit = (one: MetricReading) => one.name !== 'tenfold_redis_memory_limit_bytes' || told.get('maxmemory') !== '0'
  return [...readings.filter(limit), { name: 'tenfold_redis_keys', samples: [{ labels, value: keys }] }]
}
