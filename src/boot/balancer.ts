/** The balancer that a deployment starts in front of its processes, and what it tells of itself. */
import { availableParallelism } from 'node:os'
import { fault, isTenfoldError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { MetricName } from '../base/metric-table.ts'
import type { MetricReading } from '../base/metric-registry.ts'
import { sleep } from '../base/time.ts'
import { HaproxyBalancer } from '../drivers/haproxy/balancer.ts'
import type { Balancer, NodeReport } from '../ports/balancer.ts'
import type { Measurements } from '../ports/measurements.ts'
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

const nodeStates: readonly NodeReport['state'][] = ['up', 'draining', 'down', 'ejected']

export function balancerMeasurements(balancer: Balancer): Measurements {
  const one = (name: MetricName, value: number): MetricReading => ({ name, samples: [{ labels: {}, value }] })
  return {
    async open() {},
    async close() {},
    async read(timeoutMs) {
      const told = new AbortController()
      const report = await Promise.race([balancer.observe(), sleep(timeoutMs, told.signal)]).catch((error: unknown) => {
        if (isTenfoldError(error)) throw error
        throw fault('UNAVAILABLE', `the balancer did not tell its measurements: ${(error as Error).message}`, { cause: error })
      }).finally(() => told.abort())
      if (!report) throw fault('UNAVAILABLE', `the balancer did not tell its measurements within ${timeoutMs} ms`)
      const { nodes, requests, queued, repeated } = report
      return [
        { name: 'tenfold_balancer_nodes', samples: nodeStates.map(state => ({ labels: { state }, value: nodes.filter(node => node.state === state).length })) },
        one('tenfold_balancer_requests_total', requests), one('tenfold_balancer_repeated_total', repeated), one('tenfold_balancer_waiting', queued),
      ]
    },
  }
}
