/** HAProxy in a folder of its own, as a subject of the balancer suite. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/log.ts'
import type { BalancerSubject } from '../../src/conformance/balancer.ts'
import type { Driver } from '../../src/conformance/check.ts'
import { HaproxyBalancer } from '../../src/drivers/haproxy/balancer.ts'
import type { HaproxyOptions } from '../../src/drivers/haproxy/balancer.ts'
import type { Balancer } from '../../src/ports/balancer.ts'

/** HAProxy looks at the shares of new nodes once in a second. */
const rampMs = 1_000
/** Quick enough for a test, and otherwise as in earnest. */
const quick = { host: '127.0.0.1', port: 0, foreignPrefixes: ['/legacy'], nodeRequestsMax: 8, queueMs: 600, checkMs: 1_000, slowStartMs: 500, watchMs: 200, ejectMs: 600 }

export interface ScratchHaproxy { readonly balancer: HaproxyBalancer; close(): Promise<void> }

export async function scratchHaproxy(options: Partial<HaproxyOptions> = {}): Promise<ScratchHaproxy> {
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-haproxy-'))
  const balancer = new HaproxyBalancer({ ...quick, dataFolder, log: silentLogger, ...options })
  await balancer.open()
  return { balancer, close: async () => { await balancer.close(500); await rm(dataFolder, { recursive: true, force: true }) } }
}

/** `change`: the driver with a fault. */
export function haproxyDriver(name = 'haproxy', change: (balancer: HaproxyBalancer) => Partial<Balancer> = () => ({}), options: Partial<HaproxyOptions> = {}): Driver<BalancerSubject> {
  return {
    name, faults: ['restart'],
    async open() {
      const { balancer, close } = await scratchHaproxy(options)
      const changed: Balancer = {
        open: () => balancer.open(), close: graceMs => balancer.close(graceMs), add: node => balancer.add(node), observe: () => balancer.observe(),
        drain: (node, graceMs) => balancer.drain(node, graceMs), remove: node => balancer.remove(node), ...change(balancer),
      }
      const subject = { balancer: changed, url: `http://127.0.0.1:${balancer.port}`, foreignPrefix: '/legacy', nodeRequestsMax: quick.nodeRequestsMax, ejectMs: quick.ejectMs, slowStartMs: quick.slowStartMs + rampMs, kill: () => void process.kill(balancer.pid!, 'SIGKILL') }
      return { subject, close }
    },
  }
}
