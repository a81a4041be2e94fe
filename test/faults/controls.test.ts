/**
 * What each protection is for: with it the scenario loses and doubles nothing, without it the
 * same scenario does, and the ledger finds it. Each switch is one of the deployment's environment.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { sleep } from '../../src/base/time.ts'
import { startDeployment } from '../support/deployment.ts'
import { scaledOutFile, skipScaledOut } from '../topologies/scaled-out.ts'
import { unheardPrimaryDies } from './faults.ts'
import { Load } from './load.ts'
import { skipCut } from './network.ts'
import { signalAll, Site, until } from './site.ts'
import type { Kind } from './site.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const writers = 12
const timeout = 300_000
const skip = skipScaledOut || (isSoak ? false : 'runs in npm run soak')
const database = { driver: 'postgres', embedded: true, settings: 'machine', replicas: 2 } as const
/** Commits wait for no replica, and the primary is replaced all the same. */
const asynchronous = { ports: { database: { ...database, synchronous: 0 } }, env: { TENFOLD_PROMOTES: 'always' } }

interface Scenario {
  readonly ports?: object
  readonly env?: Readonly<Record<string, string>>
  run(site: Site, load: Load): Promise<void>
}

/** What the ledger says afterwards. */
async function findingsOf(t: TestContext, { ports = {}, env = {}, run }: Scenario, waitMs: number): Promise<string[]> {
  const topology = await scaledOutFile(ports)
  t.after(() => topology.remove())
  const deployment = await startDeployment({ topology: topology.file, env })
  const [site, load] = [new Site(deployment), new Load(deployment.url, writers)]
  t.after(async () => {
    load.close()
    await deployment.end()
    // A primary that nobody has fenced nobody stops either.
    for (const index of [0, 1, 2]) signalAll(await site.serverPids(index), 'SIGKILL')
    await deployment.close()
  })
  await load.prepare()
  await until(() => site.isWhole(), 'the topology is whole', 120_000)
  load.start()
  try {
    await load.more(100)
    await run(site, load)
    await load.more(50, 90_000)
  } finally { await load.pause() }
  const client = await site.connect()
  const findings = await load.ledger.verify(client, waitMs).finally(() => client.end())
  t.diagnostic(`${load.ledger.acknowledged} writes acknowledged, ${findings.length} findings${findings.length > 0 ? `, for instance: ${findings[0]}` : ''}`)
  return findings
}

const lost = /^lost/
const doubled = /doubled|there [2-9] times|effect [2-9] times|has [2-9] entries|it should be/

async function assertNothing(t: TestContext, scenario: Scenario): Promise<void> { assert.deepEqual((await findingsOf(t, scenario, 60_000)).slice(0, 5), []) }

async function assertFound(t: TestContext, scenario: Scenario, what: RegExp): Promise<void> {
  const findings = await findingsOf(t, scenario, 8_000)
  assert.ok(findings.some(one => what.test(one)), `the test cannot see what it is for: ${findings.slice(0, 5).join('; ')}`)
}

async function unheard(site: Site): Promise<void> {
  const heal = await unheardPrimaryDies.strike(site)
  await heal()
}

/** Stands still while nothing is under way, until it has been replaced, and then goes on as if nothing had been. */
async function standsStill(site: Site, load: Load): Promise<void> {
  await load.pause()
  const [at] = await site.sql<{ lsn: string }>('SELECT pg_current_wal_flush_lsn()::text AS lsn')
  const reached = 'SELECT count(*)::int AS count FROM pg_stat_replication WHERE replay_lsn >= $1::pg_lsn'
  await until(async () => (await site.sql<{ count: number }>(reached, [at!.lsn]))[0]!.count === 2, 'replicas have everything')
  const [pids, epoch] = [await site.pidsOf('primary'), await site.epoch()]
  signalAll(pids, 'SIGSTOP')
  load.start()
  await until(async () => await site.epoch() > epoch, 'it is replaced', 90_000)
  await sleep(1_000)
  signalAll(pids, 'SIGCONT')
  await sleep(4_000)
}

const killedOften = (kinds: readonly Kind[], times: number) => async (site: Site, load: Load): Promise<void> => {
  for (let time = 0; time < times; time++) {
    for (const kind of kinds) {
      const replica = time % 2
      const pids = await site.pidsOf(kind, replica)
      signalAll(pids, 'SIGKILL')
      await until(() => site.isBack(kind, replica, pids), `${kind} is back`)
    }
    await load.more(20)
  }
}

test('synchronous commits: what a primary acknowledged that no replica heard', { skip: skip || skipCut, timeout: 2 * timeout }, async t => {
  await t.test('waits, and nothing is lost', { timeout }, t => assertNothing(t, { run: unheard }))
  await t.test('negative control: is lost where commits do not wait', { timeout }, t => assertFound(t, { ...asynchronous, run: unheard }, lost))
})

test('the fence: a primary that stood still, was replaced and goes on', { skip, timeout: 2 * timeout }, async t => {
  await t.test('is written to no more', { timeout }, t => assertNothing(t, { ...asynchronous, run: standsStill }))
  await t.test('negative control: takes writes that are lost where nobody fences it', { timeout }, t => assertFound(t, { ...asynchronous, env: { ...asynchronous.env, TENFOLD_FENCE: 'off' }, run: standsStill }, lost))
})

test('negative control: an answer before COMMIT is found out', { skip, timeout }, t =>
  assertFound(t, { env: { TENFOLD_ACKNOWLEDGE: 'before-commit' }, run: killedOften(['web', 'primary'], 3) }, lost))

test('negative control: without idempotency keys a command that is repeated takes effect twice', { skip, timeout }, t =>
  assertFound(t, { env: { TENFOLD_IDEMPOTENCY: 'off' }, run: killedOften(['web'], 8) }, doubled))

test('negative control: without the inbox what is delivered again has its effect again', { skip, timeout }, t =>
  assertFound(t, { env: { TENFOLD_INBOX: 'off' }, run: killedOften(['worker', 'nats'], 5) }, doubled))
