/** A NATS server of its own for each test file, behind a proxy that can cut its connections; each test has names of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { silentLogger } from '../../src/base/log.ts'
import { randomHex } from '../../src/base/random.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { startNatsServers } from '../../src/drivers/nats/server.ts'
import type { NatsServers } from '../../src/drivers/nats/server.ts'
import { proxyTo } from './measurements-driver.ts'
import type { Proxy } from './measurements-driver.ts'

export interface ScratchNats {
  readonly url: string
  readonly prefix: string
  /** kill -9; resolves when it runs again. */
  restart(): Promise<void>
  cut(): void
}

interface Started { readonly servers: NatsServers; readonly proxy: Proxy; readonly folder: string }
let starting: Promise<Started> | undefined

async function start(): Promise<Started> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-nats-'))
  const servers = await startNatsServers({ dataFolder: folder, secret: Buffer.from('test'), nodes: 1, log: silentLogger })
  return { folder, servers, proxy: await proxyTo(servers.url) }
}

after(async () => {
  if (!starting) return
  const { servers, proxy, folder } = await starting
  proxy.close()
  await servers.stop()
  await rm(folder, { recursive: true, force: true })
})

export async function scratchNats(): Promise<ScratchNats> {
  const { servers, proxy } = await (starting ??= start())
  return { url: proxy.url, prefix: `t${randomHex(6)}`, restart: () => killed(servers, 0), cut: () => proxy.cut() }
}

/** Its watcher starts it again. */
export async function killed(servers: NatsServers, index: number): Promise<void> {
  while (servers.pids[index] === null) await sleep(20)
  const pid = servers.pids[index]!
  process.kill(pid, 'SIGKILL')
  for (const endMs = monotonicMs() + 20_000; servers.pids[index] === null || servers.pids[index] === pid; await sleep(20)) {
    if (monotonicMs() > endMs) throw new Error('NATS does not come back')
  }
}
