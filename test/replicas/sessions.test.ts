/**
 * Read your writes and monotonic reads (I5) where queries read on replicas: random sessions on
 * a real deployment with two of them, which stop replaying now and then, one or both, while
 * the primary goes on. Answers are kept too, so that what is kept shows what it should.
 *
 * Negative control: when a replica is read whatever a session has seen, the same sessions must
 * be shown something old.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { systemRandom } from '../../src/base/random.ts'
import { sleep } from '../../src/base/time.ts'
import tuned from '../../examples/conduit/topologies/2-tuned.ts'
import { runSessions } from '../consistency/sessions.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { readPage } from '../support/metric-page.ts'
import { run } from '../support/postgres-group.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const operations = isSoak ? 40_000 : 2_000
const timeout = 600_000

async function deployRegister(t: { after(close: () => Promise<void>): void }, cache: unknown, env: Record<string, string> = {}): Promise<TestDeployment> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-register-'))
  const topology = path.join(folder, 'replicas.ts')
  const { web, worker } = tuned.processes
  const ports = { ...tuned.ports, cache, database: { driver: 'postgres', embedded: true, settings: 'small', replicas: 2, synchronous: 1 } }
  await writeFile(topology, `export default ${JSON.stringify({ ...tuned, processes: { web: { ...web, replicas: 2 }, worker }, ports })}\n`)
  const deployment = await startDeployment({ appFile: path.join(import.meta.dirname, '../consistency/register/app.ts'), topology, env })
  t.after(async () => { await deployment.close(); await rm(folder, { recursive: true, force: true, maxRetries: 5 }) })
  return deployment
}

async function replicaUrls({ dataFolder }: TestDeployment): Promise<string[]> {
  const password = (await readFile(path.join(dataFolder, 'postgres/postgres.password'), 'utf8')).trim()
  const ports = await Promise.all(['1', '2'].map(name => readFile(path.join(dataFolder, 'replicas', name, 'postgres/postgres.port'), 'utf8')))
  return ports.map(port => `postgres://postgres:${password}@127.0.0.1:${port.trim()}/postgres`)
}

/** Holds up the replay of one or both for a moment, again and again; longer than a read waits for it. */
async function holdUp(deployment: TestDeployment, pausesMs: readonly [number, number]): Promise<() => Promise<void>> {
  const stopping = new AbortController()
  const urls = await replicaUrls(deployment)
  const running = (async () => {
    while (!stopping.signal.aborted) {
      const [first, second] = systemRandom.fraction() < 0.5 ? urls : urls.toReversed()
      const held = systemRandom.fraction() < 0.7 ? [first!] : [first!, second!]
      for (const url of held) await run(url, 'SELECT pg_wal_replay_pause()')
      await sleep(pausesMs[0] + systemRandom.fraction() * (pausesMs[1] - pausesMs[0]))
      for (const url of held) await run(url, 'SELECT pg_wal_replay_resume()')
      await sleep(100, stopping.signal)
    }
  })()
  return async () => { stopping.abort(); await running }
}

for (const [name, cache] of [['without kept answers', { driver: 'none' }], ['with kept answers', tuned.ports.cache]] as const) {
  test(`no session is shown something older than what it wrote or read, ${name}`, { timeout }, async t => {
    const deployment = await deployRegister(t, cache)
    const stop = await holdUp(deployment, [20, 400])
    const outcome = await runSessions({ url: deployment.url, random: systemRandom, operations }).finally(stop)
    const page = await readPage(deployment.adminUrl)
    const [replica, primary] = ['replica', 'primary'].map(server => page.total('tenfold_database_readers_total', { server }))
    t.diagnostic(`${outcome.operations} operations; ${replica} queries read on a replica, ${primary} on the primary`)
    for (const one of [...outcome.violations.slice(0, 5), ...outcome.failures.slice(0, 5)]) t.diagnostic(one)
    assert.deepEqual({ violations: outcome.violations.slice(0, 5), failures: outcome.failures.slice(0, 5) }, { violations: [], failures: [] })
    assert.ok(replica! > 0, 'replicas were in use')
  })
}

test('negative control: when it does not matter what a session has seen, something old is shown', { timeout }, async t => {
  const deployment = await deployRegister(t, { driver: 'none' }, { TENFOLD_AWAIT_REPLICAS: 'off' })
  const stop = await holdUp(deployment, [50, 400])
  const outcome = await runSessions({ url: deployment.url, random: systemRandom, operations: 40_000, untilViolation: true }).finally(stop)
  t.diagnostic(`after ${outcome.operations} operations: ${outcome.violations[0]}`)
  assert.ok(outcome.violations.length > 0, 'the test cannot see what it is for')
})
