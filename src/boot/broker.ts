/** The broker of a deployment: its address, and its start where the topology has one of its own. */
import { createHmac } from 'node:crypto'
import { fault } from '../base/errors.ts'
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { openNatsMeasurements } from '../drivers/nats/measurements.ts'
import { startNatsServers } from '../drivers/nats/server.ts'
import type { Measurements } from '../ports/measurements.ts'
import type { Ports } from '../topology/topology.ts'

export interface BrokerStart {
  /** The deployment's. */
  readonly secret: Buffer
  readonly dataFolder: string
  readonly log: Logger
}

/** What the names of a deployment begin with: several may share a broker. */
export const brokerPrefixOf = (secret: Buffer): string => `tenfold_${createHmac('sha256', secret).update('tenfold broker').digest('hex').slice(0, 8)}`

/** Its url, with the password; null when the topology has none. */
export async function startBroker(broker: Ports['broker'], start: BrokerStart, closers: Closers): Promise<string | null> {
  if (!broker) return null
  if ('embedded' in broker) {
    const servers = await startNatsServers({ ...start, nodes: broker.nodes })
    closers.add(() => servers.stop())
    return servers.url
  }
  if (typeof broker.url === 'string') return broker.url
  const url = process.env[broker.url.env]
  if (!url) throw fault('USAGE', `the topology takes the broker from the environment variable ${broker.url.env}, which is not set; set it to nats://user:password@host:port`)
  return url
}

export function brokerMeasurements({ bus, queue }: Ports, url: string | null, secret: Buffer, log: Logger): Measurements | null {
  if (url === null) return null
  return openNatsMeasurements({ url, prefix: brokerPrefixOf(secret), partitions: bus.driver === 'nats' ? bus.partitions : null, jobs: queue.driver === 'nats', log })
}
