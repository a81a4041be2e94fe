/**
 * Conduit on several processes, and on one, under constant load: all replaced, and killed. A restart
 * fails no request; a kill breaks at most what the killed process was answering.
 *
 * Negative control: the same load, and processes that close their sockets hard.
 */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { isAlive } from '../support/liveness.ts'
import { Person } from '../realworld/own-cases.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { manners, startLoad } from './client.ts'
import { isBehind, kill, patienceMs, restart, statusOf } from './deployed.ts'

const root = path.resolve(import.meta.dirname, '../..')
const topology = path.join(root, 'test/topologies/two-processes.ts')
test('several processes under load', async t => {
  const deployment = await startDeployment({ topology, standby: true })
  t.after(() => deployment.close())
  const jane = new Person(deployment.url)
  await jane.register()

  await t.test('the admin port shows each process', async () => {
    const states = await statusOf(deployment)
    assert.deepEqual(states.map(one => `${one.name} ${one.replica} ${one.does} ${one.state} ${one.restarts}`).sort(),
      ['web 0 requests ready 0', 'web 1 requests ready 0', 'worker 0 background ready 0'])
    assert.ok(states.every(one => isAlive(one.pid!) && Date.parse(one.since) === one.startedAtMs))
  })

  await t.test('a restart is refused without the token of the data folder', async () => {
    const before = (await statusOf(deployment)).map(one => one.pid)
    for (const headers of [{}, { authorization: 'Bearer guessed' }]) assert.equal((await fetch(`${deployment.adminUrl}/restart`, { method: 'POST', headers })).status, 401)
    assert.equal((await fetch(`${deployment.adminUrl}/restart`)).status, 405)
    assert.deepEqual((await statusOf(deployment)).map(one => one.pid), before)
  })

  await t.test('a restart of all fails no request', async t => {
    const before = (await statusOf(deployment)).map(one => one.pid)
    const load = startLoad(deployment.url, jane.token!)
    await load.more(2)
    await restart(deployment)
    await load.more(2)
    await load.stop()
    t.diagnostic(`${load.answered()} requests answered`)
    assert.deepEqual(load.failures, [])
    const after = await statusOf(deployment)
    assert.ok(after.length === 3 && after.every(one => one.state === 'ready' && !before.includes(one.pid)))
  })

  await t.test('kill -9 of one process breaks at most what it was answering', async t => {
    const load = startLoad(deployment.url, jane.token!)
    await load.more(1)
    const before = load.answered()
    const backMs = await kill(deployment, 'web', 0)
    const meanwhile = load.answered() - before
    await load.more(2)
    await load.stop()
    t.diagnostic(`back after ${Math.round(backMs)} ms; ${meanwhile} answered meanwhile, ${load.failures.length} broken`)
    assert.ok(meanwhile > 0, 'the other process answered meanwhile')
    const broken = load.failures.filter(one => !isBehind(one))
    assert.ok(broken.length <= manners.length && broken.every(one => /socket hang up|ECONNRESET|EPIPE|answer broken/.test(one)), broken.join('\n'))
    const states = await statusOf(deployment)
    assert.deepEqual(states.map(one => `${one.name} ${one.replica} ${one.restarts}`).sort(), ['web 0 1', 'web 1 0', 'worker 0 0'])
  })

  await t.test('kill -9 of the worker breaks nothing', async () => {
    const load = startLoad(deployment.url, jane.token!)
    await load.more(1)
    await kill(deployment, 'worker', 0)
    await load.more(2)
    await load.stop()
    assert.deepEqual(load.failures.filter(one => !isBehind(one)), [])
  })

  await t.test('negative control: sockets that are closed hard fail requests', async t => {
    const load = startLoad(deployment.url, jane.token!)
    await load.more(1)
    for (const replica of [0, 1]) await kill(deployment, 'web', replica)
    await load.stop()
    t.diagnostic(`${load.failures.length} requests failed, for instance ${load.failures[0]}`)
    assert.ok(load.failures.length > 0)
  })
})

test('a restart of the only process fails no request', async t => {
  const deployment = await startDeployment({ standby: true })
  t.after(() => deployment.close())
  const jane = new Person(deployment.url)
  await jane.register()
  const pids: number[] = []
  const load = startLoad(deployment.url, jane.token!)
  for (let times = 0; times < 2; times++) {
    pids.push((await statusOf(deployment))[0]!.pid!)
    await load.more(2)
    await restart(deployment)
  }
  await load.more(2)
  await load.stop()
  t.diagnostic(`${load.answered()} requests answered`)
  assert.deepEqual(load.failures, [])
  assert.ok(pids[0] !== pids[1])
})

test('after kill -9 of the supervisor its processes end, and the next start works', async t => {
  const deployment = await startDeployment({ topology, standby: true })
  let next: TestDeployment | undefined
  t.after(async () => {
    await next?.end()
    await rm(deployment.dataFolder, { recursive: true, force: true, maxRetries: 5 })
  })
  const jane = new Person(deployment.url)
  await jane.register()
  const pids = (await statusOf(deployment)).map(one => one.pid!)
  deployment.process.kill('SIGKILL')
  next = await startDeployment({ topology, dataFolder: deployment.dataFolder, port: Number(new URL(deployment.url).port) })
  assert.equal((await jane.send('GET', '/user')).status, 200)
  for (const startMs = monotonicMs(); pids.some(isAlive); await sleep(20)) assert.ok(monotonicMs() - startMs < patienceMs, 'the old processes have ended')
})
