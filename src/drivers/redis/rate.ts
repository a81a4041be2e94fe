/** The rate port on Redis: one script, by the server's clock, so that all processes count together. */
import { allowanceOf } from '../../base/allowance.ts'
import type { Rates } from '../../ports/rate.ts'
import { RedisConnection } from './connection.ts'
import type { RedisOptions } from './connection.ts'
import { script } from './script.ts'

/**
 * KEYS 1 when the bucket is full again, in microseconds; ARGV 1 what one costs, 2 the window.
 * The key goes when the bucket is full. Answers whether one was taken, and the time until full.
 */
const takeScript = script(`
  local time = redis.call('TIME')
  local now = time[1] * 1000000 + time[2]
  local full = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
  local one, window = tonumber(ARGV[1]), tonumber(ARGV[2])
  if full + one - now > window + 0.001 then return { 0, string.format('%.3f', full - now) } end
  full = full + one
  redis.call('SET', KEYS[1], string.format('%.3f', full), 'PX', math.ceil((full - now) / 1000))
  return { 1, string.format('%.3f', full - now) }
`)

export interface RedisRatesOptions extends RedisOptions {
  /** Before all names. */
  readonly namespace: string
}

export function openRedisRates(options: RedisRatesOptions): Rates {
  const connection = new RedisConnection(options)
  return {
    open: () => connection.open(),
    close: () => connection.close(),
    async take(name, policy) {
      const { limit, windowMs } = policy
      const [taken, fullMicros] = await connection.run(takeScript, [`${options.namespace}:rate:${name}`], [String(windowMs * 1_000 / limit), String(windowMs * 1_000)]) as [number, Buffer]
      return allowanceOf(taken === 1, Number(fullMicros) / 1_000, policy)
    },
    // Redis forgets them itself.
    prune: async () => {},
  }
}
