/** Processes come when more is asked than those that run can answer, and go when it is over; no request fails meanwhile. Its time runs thirty times faster. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { skipWithout } from '../../scripts/engines.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { Person } from '../realworld/own-cases.ts'
import { startDeployment } from '../support/deployment.ts'
import { startLoad } from './client.ts'
import { isBehind, patienceMs, statusOf } from './deployed.ts'

const topology = path.join(import.meta.dirname, '../topologies/scaled.ts')
const env = { TENFOLD_SCALING_SPEED: '30' }
const clients = 24

test('web processes are scaled', { skip: skipWithout('haproxy') }, async t => {
  const deployment = await startDeployment({ topology, env })
  t.after(() => deployment.close())
  const jane = new Person(deployment.url)
  await jane.register()
  const webs = async () => (await statusOf(deployment)).filter(one => one.name === 'web' && one.state === 'ready').length
  const until = async (what: string, holds: (count: number) => boolean) => {
    for (const startMs = monotonicMs(); !holds(await webs()); await sleep(100)) assert.ok(monotonicMs() - startMs < patienceMs, `not in time: ${what}`)
  }
  const stopping = new AbortController()
  const failed: number[] = []
  const ask = async () => {
    while (!stopping.signal.aborted) {
      const { status } = await fetch(`${deployment.url}/api/articles?limit=20`)
      if (status !== 200) failed.push(status)
    }
  }

  await t.test('more come under load', async () => {
    assert.equal(await webs(), 1)
    const asking = Array.from({ length: clients }, ask)
    await until('more than one', count => count > 1)
    stopping.abort()
    await Promise.all(asking)
    assert.deepEqual(failed, [])
  })

  await t.test('they go when it is over, and no request of those that go on asking fails', async () => {
    const load = startLoad(deployment.url, jane.token!)
    await until('one again', count => count === 1)
    await load.stop()
    assert.deepEqual(load.failures.filter(one => !isBehind(one)), [])
  })

  await t.test('what was decided is told, and written down', async () => {
    const { scaling } = await (await fetch(`${deployment.adminUrl}/status`)).json() as { scaling: { process: string; from: number; to: number; reason: string }[] }
    assert.ok(scaling.some(one => one.process === 'web' && one.from === 1 && one.to > 1 && ['load', 'forecast', 'max'].includes(one.reason)), JSON.stringify(scaling))
    const file = path.join(deployment.dataFolder, 'autoscaler.json')
    const countOf = async () => (JSON.parse(await readFile(file, 'utf8')) as { counts: Record<string, number> }).counts.web
    for (const startMs = monotonicMs(); await countOf() !== 1; await sleep(100)) assert.ok(monotonicMs() - startMs < patienceMs, 'it is not written down')
  })

  await t.test('who starts again goes on with as many as ran', async () => {
    const file = path.join(deployment.dataFolder, 'autoscaler.json')
    await deployment.end()
    await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')) as object, counts: { web: 2 } }))
    const next = await startDeployment({ topology, dataFolder: deployment.dataFolder })
    try { assert.equal((await statusOf(next)).filter(one => one.name === 'web').length, 2) } finally { await next.end() }
  })
})
