/**
 * Conduit as nodes behind HAProxy under constant load: replaced, killed, and HAProxy itself
 * killed. No request of any kind fails while a node is left, and each command has its effect once.
 *
 * Negative control: the same load, and no node left.
 */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { sleep } from '../../src/base/time.ts'
import { Person } from '../realworld/own-cases.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { startLoad } from './client.ts'
import type { Load } from './client.ts'
import { isBehind, kill, restart, statusOf } from './deployed.ts'

const topology = path.join(import.meta.dirname, '../topologies/balanced.ts')

/** Every acknowledged article is there, and none twice. */
async function assertOnce(deployment: TestDeployment, jane: Person, load: Load, before: number): Promise<void> {
  assert.deepEqual(load.failures.filter(one => !isBehind(one)), [])
  assert.equal(await articlesOf(deployment, jane) - before, load.created())
}

async function articlesOf({ url }: TestDeployment, { name }: Person): Promise<number> {
  const answer = await fetch(`${url}/api/articles?author=${name}&limit=1`)
  return (await answer.json() as { articlesCount: number }).articlesCount
}

async function whileLoaded(t: TestContext, deployment: TestDeployment, jane: Person, work: () => Promise<unknown>): Promise<void> {
  const before = await articlesOf(deployment, jane)
  const load = startLoad(deployment.url, jane.token!)
  await load.more(2)
  await work()
  await load.more(2)
  await load.stop()
  t.diagnostic(`${load.answered()} requests answered, ${load.created()} of them writes`)
  await assertOnce(deployment, jane, load, before)
}

test('nodes behind HAProxy under load', { skip: skipWithout('haproxy') }, async t => {
  const deployment = await startDeployment({ topology, standby: true })
  t.after(() => deployment.close())
  const jane = new Person(deployment.url)
  await jane.register()

  await t.test('a restart of all fails no request', async t => {
    const before = (await statusOf(deployment)).map(one => one.pid)
    await whileLoaded(t, deployment, jane, () => restart(deployment))
    assert.ok((await statusOf(deployment)).every(one => one.state === 'ready' && !before.includes(one.pid)))
  })

  await t.test('kill -9 of one node after another fails no request, and doubles none', async t => {
    await whileLoaded(t, deployment, jane, async () => {
      for (const replica of [0, 1, 0]) { await kill(deployment, 'web', replica); await sleep(300) }
    })
  })

  await t.test('kill -9 of HAProxy breaks at most what was under way, and it is back with every node', async t => {
    const load = startLoad(deployment.url, jane.token!)
    await load.more(2)
    const pid = Number(await readFile(path.join(deployment.dataFolder, 'haproxy', 'pid'), 'utf8'))
    process.kill(pid, 'SIGKILL')
    await load.more(3)
    await load.stop()
    t.diagnostic(`${load.answered()} requests answered, ${load.failures.length} broken`)
    assert.ok(load.failures.length <= 8 && load.failures.filter(one => !isBehind(one)).every(one => /socket hang up|ECONNRESET|EPIPE|answer broken/.test(one)), load.failures.join('\n'))
  })

  await t.test('negative control: without a node requests fail', async () => {
    const load = startLoad(deployment.url, jane.token!)
    await load.more(1)
    await Promise.all([0, 1].map(replica => kill(deployment, 'web', replica)))
    await load.stop()
    assert.ok(load.failures.length > 0)
  })
})
