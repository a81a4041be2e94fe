/**
 * Servers that Patroni keeps: Tenfold has the addresses of all three and follows whichever is
 * promoted. The leader is killed under writers, with its Patroni; the lease ends, another leads,
 * and nothing acknowledged is lost.
 *
 * Negative control: what one server alone has acknowledged is missing where another leads.
 */
import assert from 'node:assert/strict'
import path from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { engines, missingPackages } from '../../scripts/engines.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { Ledger, write } from '../crash/ledger.ts'
import { startDeployment } from '../support/deployment.ts'
import { startPatroni } from '../support/patroni.ts'
import type { PatroniNode } from '../support/patroni.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const missing = missingPackages(['patroni'])
const skip = !isSoak ? 'runs in npm run soak' : missing.length > 0 ? `${engines.patroni.packages.join(', ')} are not all installed: node scripts/engines.ts patroni` : false
const writers = 8
const writesEach = 150
/** The lease of 20 s, an election, and a busy machine. */
const patienceMs = 90_000

async function connected<T>(node: PatroniNode, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(node.url)
  client.on('error', () => {})
  await client.connect()
  try { return await use(client) } finally { await client.end().catch(() => {}) }
}

test('the leader of a Patroni group is killed under writers: they go on at the next one, and nothing acknowledged is lost', { skip, timeout: 240_000 }, async t => {
  const group = await startPatroni()
  t.after(() => group.close())
  const [a, b, c] = group.nodes as [PatroniNode, PatroniNode, PatroniNode]
  const deployment = await startDeployment({ topology: path.join(import.meta.dirname, '../topologies/patroni.ts'), env: { DATABASE_A_URL: a.url, DATABASE_B_URL: b.url, DATABASE_C_URL: c.url } })
  t.after(() => deployment.close())
  const ledger = new Ledger()
  await ledger.prepare(deployment.url)
  const stopping = new AbortController()
  const writing = Array.from({ length: writers }, (_, index) => write(deployment.url, ledger, index, stopping.signal))
  /** Resolves when writes go on at another. */
  const follows = async (old: PatroniNode, what: string, change: () => Promise<void>) => {
    const fromMs = monotonicMs()
    await change()
    let next = await group.leader()
    for (; next.name === old.name; next = await group.leader()) assert.ok(monotonicMs() - fromMs < patienceMs, `${old.name} still leads`)
    const ledMs = monotonicMs()
    await ledger.more(writers, patienceMs)
    t.diagnostic(`${old.name} was ${what}: ${next.name} led after ${((ledMs - fromMs) / 1_000).toFixed(1)} s, ${writers} more writes were acknowledged ${Math.round(monotonicMs() - ledMs)} ms later`)
    await ledger.more(writesEach, patienceMs)
  }
  try {
    await ledger.more(writesEach, patienceMs)
    const first = await group.steady(2)
    await follows(first, 'killed', () => first.kill())
    await first.start()
    // The one that was killed is copied anew meanwhile.
    const second = await group.steady(1)
    await follows(second, 'relieved', () => second.handOver())
  } finally {
    stopping.abort()
    await Promise.all(writing)
  }
  t.diagnostic(`${ledger.acknowledged} writes acknowledged, ${ledger.unknown} of unknown outcome`)
  assert.ok(ledger.acknowledged >= 3 * writesEach)
  assert.deepEqual(await connected(await group.leader(), client => ledger.verify(client)), [])

  await t.test('negative control: a commit that waits for no replica is lost with its server, one that waits is not acknowledged', async () => {
    const old = await group.steady(2)
    const senders: number[] = []
    await connected(old, async client => {
      await client.query('CREATE TABLE public.alone (id int)')
      for (const { pid } of (await client.query<{ pid: number }>('SELECT pid FROM pg_stat_replication')).rows) senders.push(pid)
      for (const pid of senders) process.kill(pid, 'SIGSTOP')
      await client.query('SET synchronous_commit = local')
      await client.query('INSERT INTO public.alone VALUES (1)')
      await client.query('SET synchronous_commit = on')
      const waiting = client.query('INSERT INTO public.alone VALUES (2)').then(() => 'acknowledged', () => 'not')
      assert.equal(await Promise.race([waiting, sleep(500).then(() => 'waits')]), 'waits')
      await old.kill()
      assert.equal(await waiting, 'not')
    })
    for (const pid of senders) process.kill(pid, 'SIGKILL')
    const next = await group.leader()
    assert.notEqual(next.name, old.name)
    assert.equal((await connected(next, client => client.query('SELECT 1 FROM public.alone'))).rows.length, 0, 'the test cannot see what it is for')
  })
})
