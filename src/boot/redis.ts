/** The Redis servers of a deployment: where they are, and those that are started here. */
import { createHmac } from 'node:crypto'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { embeddedRedisUrl, startRedisServer } from '../drivers/redis/server.ts'
import type { RedisPurpose } from '../drivers/redis/server.ts'
import type { Ports, RedisServer } from '../topology/topology.ts'
import { given } from './given.ts'

/** Nobody can go on without: it is waited for longer than for what only saves time. */
const stateCallMs = 1_000

interface Place { readonly dataFolder: string; readonly secret: Buffer; readonly log: Logger }

/** For drivers. The namespace is the deployment's own: others may use the same server. */
export function redisOptionsOf(server: RedisServer, purpose: RedisPurpose, place: Place) {
  return { url: urlOf(server, purpose, place), namespace: namespaceOf(place.secret), log: place.log, callMs: server.callMs ?? (purpose === 'state' ? stateCallMs : undefined) }
}

function urlOf(server: RedisServer, purpose: RedisPurpose, { dataFolder, secret }: Place): string {
  return 'url' in server ? given(server.url, "Redis's url") : embeddedRedisUrl({ dataFolder, purpose, secret })
}

const namespaceOf = (secret: Buffer): string => `tenfold:${createHmac('sha256', secret).update('tenfold redis namespace').digest('hex').slice(0, 12)}`

interface Used { readonly name: string; readonly server: RedisServer; readonly purpose: RedisPurpose }

/** What of Redis a topology uses, by the name under which it is measured. */
function usedBy({ redis, sessions }: Ports): readonly Used[] {
  return [
    ...redis ? [{ name: 'redis', server: redis, purpose: 'cache' as const }] : [],
    ...sessions?.driver === 'redis' ? [{ name: 'redis-sessions', server: sessions, purpose: 'state' as const }] : [],
  ]
}

/** True when a Redis is started here. */
export const startsRedis = (ports: Ports): boolean => usedBy(ports).some(({ server }) => 'embedded' in server)

/** Starts what the topology wants started; the urls of all that it uses, by name. */
export async function startRedis(ports: Ports, place: Place, closers: Closers): Promise<Readonly<Record<string, string>>> {
  const urls: Record<string, string> = {}
  for (const { name, server, purpose } of usedBy(ports)) {
    if ('embedded' in server) {
      const started = await startRedisServer({ ...place, purpose, memoryBytesMax: server.memoryBytesMax })
      closers.add(() => started.stop())
    }
    urls[name] = urlOf(server, purpose, place)
  }
  return urls
}
