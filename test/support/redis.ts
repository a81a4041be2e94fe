/** A Redis of its own for a test: started on a socket in a folder, with faults that can be injected. */
import { mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { silentLogger } from '../../src/base/log.ts'
import { sleep } from '../../src/base/time.ts'
import { RedisConnection } from '../../src/drivers/redis/connection.ts'
import type { Reply } from '../../src/drivers/redis/connection.ts'
import { startRedisServer } from '../../src/drivers/redis/server.ts'
import type { RedisPurpose } from '../../src/drivers/redis/server.ts'

export interface TestRedis {
  readonly url: string
  readonly pid: () => number | null
  /** A namespace that nobody else has. */
  namespace(): string
  ask(...argv: readonly string[]): Promise<Reply>
  /** kill -9; resolves when the supervisor has it back. */
  restart(): Promise<void>
  flush(): Promise<void>
  /** Breaks every connection but the test's own. */
  cut(): Promise<void>
  /** Until the returned function is called it answers nothing. */
  hang(): () => void
  close(): Promise<void>
}

/** Patient: what a busy machine delays is no fault here. */
export const patientMs = 10_000

export async function testRedis(purpose: RedisPurpose = 'cache', memoryBytesMax = 64 << 20): Promise<TestRedis> {
  const dataFolder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-redis-'))
  const server = await startRedisServer({ dataFolder, purpose, secret: Buffer.alloc(32, 7), memoryBytesMax, log: silentLogger })
  const own = new RedisConnection({ url: server.url, log: silentLogger, callMs: patientMs })
  await own.open()
  while (!own.isUp) await sleep(10)
  let spaces = 0
  const back = async () => { while (!own.isUp || !await own.call(['PING']).then(() => true, () => false)) await sleep(5) }
  return {
    url: server.url, pid: () => server.pid, namespace: () => `test-${++spaces}`,
    ask: (...argv) => own.call(argv),
    async restart() {
      process.kill(server.pid!, 'SIGKILL')
      while (own.isUp) await sleep(2)
      await back()
    },
    async flush() { await own.call(['FLUSHALL']) },
    async cut() {
      await own.call(['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'])
    },
    hang() {
      const pid = server.pid!
      process.kill(pid, 'SIGSTOP')
      return () => { process.kill(pid, 'SIGCONT') }
    },
    async close() {
      await own.close()
      await server.stop()
      await rm(dataFolder, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}
