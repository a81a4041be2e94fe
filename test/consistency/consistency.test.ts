/**
 * Read your writes and monotonic reads (I5) over processes that each keep answers: random
 * sessions on a real deployment, whose processes are held up for a moment now and then, so
 * that they hear of changes late.
 *
 * Negative control: when kept answers are given without looking at what a session has seen,
 * the same sessions must be shown something old.
 */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { skipWithout } from '../../scripts/engines.ts'
import tuned from '../../examples/conduit/topologies/2-tuned.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { randomFrom } from '../support/seeded-random.ts'
import { runSessions } from './sessions.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
/** Without the stamps some hundred operations are enough to be shown something old. */
const seeds = isSoak ? [1, 2, 3, 4] : [1, 2]
const operations = isSoak ? 25_500 : 2_000

/** Answers kept in each process, and in a Redis that is often too slow. */
const shared = { redis: { embedded: true, memoryBytesMax: 67_108_864, callMs: 5 }, cache: { driver: 'redis', bytesMax: 1_000_000 } } as const

async function deployRegister(t: { after(close: () => Promise<void>): void }, env: Record<string, string> = {}, ports = {}): Promise<TestDeployment> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-register-'))
  const topology = path.join(folder, 'two-webs.ts')
  const { web, worker } = tuned.processes
  await writeFile(topology, `export default ${JSON.stringify({ ...tuned, processes: { web: { ...web, replicas: 2 }, worker }, ports: { ...tuned.ports, ...ports } })}\n`)
  const deployment = await startDeployment({ appFile: path.join(import.meta.dirname, 'register/app.ts'), topology, env })
  t.after(async () => { await deployment.close(); await rm(folder, { recursive: true, force: true, maxRetries: 5 }) })
  return deployment
}

/** Holds up one process after another for a moment, until told to end. */
function holdUp(deployment: TestDeployment, random: { fraction(): number }): () => Promise<void> {
  const stopping = new AbortController()
  const running = (async () => {
    const { processes } = await (await fetch(`${deployment.adminUrl}/status`)).json() as { processes: { pid: number; name: string }[] }
    const pids = processes.filter(one => one.name === 'web').map(one => one.pid)
    while (!stopping.signal.aborted) {
      const pid = pids[Math.floor(random.fraction() * pids.length)]!
      process.kill(pid, 'SIGSTOP')
      await sleep(5 + random.fraction() * 40)
      process.kill(pid, 'SIGCONT')
      await sleep(250, stopping.signal)
    }
  })()
  return async () => { stopping.abort(); await running }
}

test('no session is shown something older than what it wrote or read', async t => {
  const deployment = await deployRegister(t)
  for (const seed of seeds) {
    const random = randomFrom(seed)
    const stop = holdUp(deployment, randomFrom(seed * 7_919))
    const outcome = await runSessions({ url: deployment.url, random, operations }).finally(stop)
    t.diagnostic(`seed ${seed}: ${outcome.operations} operations, ${Math.round(outcome.keptShare * 100)} % answered by the cache or into it`)
    assert.deepEqual({ violations: outcome.violations.slice(0, 5), failures: outcome.failures.slice(0, 5) }, { violations: [], failures: [] }, `seed ${seed}`)
    assert.ok(outcome.keptShare > 0.5, 'the cache was in use')
  }
})

test('nor where the processes share a Redis', { skip: skipWithout('redis') || (isSoak ? false : 'runs in npm run soak') }, async t => {
  const deployment = await deployRegister(t, {}, shared)
  const stop = holdUp(deployment, randomFrom(11))
  const outcome = await runSessions({ url: deployment.url, random: randomFrom(12), operations: isSoak ? 30_000 : 3_000 }).finally(stop)
  t.diagnostic(`${outcome.operations} operations, ${Math.round(outcome.keptShare * 100)} % answered by the cache or into it`)
  assert.deepEqual({ violations: outcome.violations.slice(0, 5), failures: outcome.failures.slice(0, 5) }, { violations: [], failures: [] })
})

test('negative control: without the stamps something old is shown', async t => {
  const deployment = await deployRegister(t, { TENFOLD_CACHE_STAMPS: 'off' })
  const stop = holdUp(deployment, randomFrom(99))
  const outcome = await runSessions({ url: deployment.url, random: randomFrom(4), operations: 60_000, untilViolation: true }).finally(stop)
  t.diagnostic(`after ${outcome.operations} operations: ${outcome.violations[0]}`)
  assert.ok(outcome.violations.length > 0, 'the test cannot see what it is for')
})
