/** The balancer that a deployment starts in front of its processes. */
import { availableParallelism } from 'node:os'
import type { Logger } from '../base/log.ts'
import { HaproxyBalancer } from '../drivers/haproxy/balancer.ts'
import type { Balancer } from '../ports/balancer.ts'
import type { Plan } from '../topology/plan.ts'

export interface BalancerStart {
  readonly plan: Plan
  readonly host: string
  readonly port: number
  readonly dataFolder: string
  readonly log: Logger
}

/** Open, without nodes yet; null when the topology has none. */
export async function startBalancer({ plan, host, port, dataFolder, log }: BalancerStart): Promise<Balancer | null> {
  if (plan.listener.driver !== 'haproxy') return null
  // The rest is for the nodes.
  const threads = Math.max(1, Math.floor(availableParallelism() / 4))
  const balancer = new HaproxyBalancer({ host, port, dataFolder, threads, foreignPrefixes: plan.listener.mounts, log })
  await balancer.open()
  return balancer
}
