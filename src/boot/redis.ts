/** The Redis servers of a deployment: where they are, and those that are started here. */
import { createHmac } from 'node:crypto'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { embeddedRedisUrl, startRedisServer } from '../drivers/redis/server.ts'
import type { RedisPurpose } from '../drivers/redis/server.ts'
import type { Ports, RedisServer } from '../topology/topology.ts'
import { given } from './given.ts'

interface Place { readonly dataFolder: string; readonly secret: Buffer; readonly log: Logger }

/** For drivers on the Redis of cache and rate. The namespace is the deployment's own: others may use the same server. */
export function redisOptionsOf({ redis }: Ports, place: Place) {
  return { url: urlOf(redis!, 'cache', place), namespace: namespaceOf(place.secret), log: place.log, callMs: redis!.callMs }
}

export function urlOf(server: RedisServer, purpose: RedisPurpose, { dataFolder, secret }: Place): string {
  return 'url' in server ? given(server.url, "Redis's url") : embeddedRedisUrl({ dataFolder, purpose, secret })
}

export const namespaceOf = (secret: Buffer): string => `tenfold:${createHmac('sha256', secret).update('tenfold redis namespace').digest('hex').slice(0, 12)}`

/** True when a Redis is started here. */
export const startsRedis = ({ redis }: Ports): boolean => redis !== undefined && 'embedded' in redis

/** Starts what the topology wants started; the urls of all that it uses, by the name under which they are measured. */
export async function startRedis({ redis }: Ports, place: Place, closers: Closers): Promise<Readonly<Record<string, string>>> {
  if (!redis) return {}
  if ('embedded' in redis) {
    const server = await startRedisServer({ ...place, purpose: 'cache', memoryBytesMax: redis.memoryBytesMax })
    closers.add(() => server.stop())
  }
  return { redis: urlOf(redis, 'cache', place) }
}
