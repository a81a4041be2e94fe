/** What of a deployment's engines tells its measurements, by the name under which it is told. */
import type { Closers } from '../base/lifecycle.ts'
import type { Logger } from '../base/log.ts'
import { openPostgresMeasurements } from '../drivers/postgres/measurements.ts'
import { openRedisMeasurements } from '../drivers/redis/measurements.ts'
import type { Balancer } from '../ports/balancer.ts'
import type { Measurements } from '../ports/measurements.ts'
import type { Ports } from '../topology/topology.ts'
import { balancerMeasurements } from './balancer.ts'
import { brokerMeasurements } from './broker.ts'

export interface Addresses {
  readonly databaseUrl: string
  readonly redisUrls: Readonly<Record<string, string>>
  readonly brokerUrl: string | null
  readonly balancer: Balancer | null
  /** The deployment's. */
  readonly secret: Buffer
  readonly log: Logger
}

export function measurementsOf(ports: Ports, { databaseUrl, redisUrls, brokerUrl, balancer, secret, log }: Addresses, closers: Closers): Readonly<Record<string, Measurements>> {
  const measured: Record<string, Measurements> = { postgres: openPostgresMeasurements({ url: databaseUrl, jobs: ports.queue.driver === 'postgres' }) }
  for (const [server, url] of Object.entries(redisUrls)) measured[server] = openRedisMeasurements({ url, server, log })
  const broker = brokerMeasurements(ports, brokerUrl, secret, log)
  if (broker) measured.nats = broker
  if (balancer) measured.haproxy = balancerMeasurements(balancer)
  for (const one of Object.values(measured)) closers.add(() => one.close())
  return measured
}
