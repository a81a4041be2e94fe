/** The orchestrator of child processes keeps the port's contract, and its children its own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { limits } from '../../src/base/limits.ts'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { verify } from '../../src/conformance/check.ts'
import { orchestratorSuite } from '../../src/conformance/orchestrator.ts'
import { openProcessOrchestrator } from '../../src/drivers/process/orchestrator.ts'
import { Spares } from '../../src/drivers/process/spare.ts'
import { orchestratedProcess, orchestratorSubject } from '../fixtures/orchestrator-subject.ts'
import { freePort } from '../support/free-port.ts'
import { isAlive } from '../support/liveness.ts'

const driver = {
  name: 'process', supports: ['listen'],
  open: async () => orchestratorSubject(openProcessOrchestrator({ log: silentLogger })),
}

/** The same with a process on standby at all times: whoever is needed may come from there. */
const withStandby = {
  name: 'process with standby', supports: ['listen'],
  open: async () => {
    const spares = new Spares({ command: [orchestratedProcess], env: {}, log: silentLogger })
    spares.keep({ loads: 'nothing', pauseMs: 0 })
    const { subject, close } = orchestratorSubject(openProcessOrchestrator({ log: silentLogger, spares }))
    return { subject, close: () => close().finally(() => spares.dismiss()) }
  },
}

for (const one of [driver, withStandby].flatMap(one => verify(orchestratorSuite, one))) test(one.name, { skip: one.skip ?? false }, () => one.run())

test('the time until a killed process is back (printed, not asserted)', async context => {
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  await orchestrator.apply([{ name: 'web', replicas: 1, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  const startMs = monotonicMs()
  process.kill(orchestrator.observe()[0]!.pid!, 'SIGKILL')
  while (orchestrator.observe()[0]?.restarts !== 1 || orchestrator.observe()[0]?.state !== 'ready') await sleep(1)
  context.diagnostic(`back after ${Math.round(monotonicMs() - startMs)} ms`)
})

/** Resolves with the status, or null when there is none yet after waitMs. */
const statusWithin = (url: string, waitMs: number): Promise<number | null> =>
  Promise.race([fetch(url, { headers: { connection: 'close' } }).then(({ status }) => status), sleep(waitMs).then(() => null)])

test('connections that no process takes are refused, and those that come later are served', async context => {
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  const listen = { host: '127.0.0.1', port: await freePort() }
  await orchestrator.apply([{ name: 'web', replicas: 2, listen, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  const pids = orchestrator.observe().map(({ pid }) => pid!)
  for (const pid of pids) process.kill(pid, 'SIGSTOP')
  const statuses = await Promise.all(Array.from({ length: 80 }, () => statusWithin(`http://127.0.0.1:${listen.port}/`, limits.connectionWaitMs * 3)))
  for (const pid of pids) process.kill(pid, 'SIGCONT')
  const refused = statuses.filter(status => status === 503).length
  assert.ok(refused >= 40 && refused < 80 && statuses.every(status => status === 503 || status === null), statuses.join(' '))
  assert.equal(await statusWithin(`http://127.0.0.1:${listen.port}/`, 30_000), 200)
})

test('the only process accepts many connections in one turn of its event loop', async context => {
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  const listen = { host: '127.0.0.1', port: await freePort() }
  const url = `http://127.0.0.1:${listen.port}/`
  await orchestrator.apply([{ name: 'web', replicas: 1, listen, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  await orchestrator.ask('statistics')
  // It has every copy of the socket now. While it stands still connections wait for it, as for one that is busy.
  const { pid } = orchestrator.observe()[0]!
  process.kill(pid!, 'SIGSTOP')
  const statuses = Promise.all(Array.from({ length: 100 }, () => statusWithin(url, 30_000)))
  assert.equal(await statusWithin(url, 300), null, 'nobody accepts')
  process.kill(pid!, 'SIGCONT')
  assert.deepEqual(await statuses, Array.from({ length: 100 }, () => 200))
  const most = Number(await (await fetch(`${url}turn`)).text())
  assert.ok(most >= 16, `${most} in one turn`)
})

test('callers that the only process has not yet accepted are served by the next one when it is killed', async context => {
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  const listen = { host: '127.0.0.1', port: await freePort() }
  const url = `http://127.0.0.1:${listen.port}/`
  await orchestrator.apply([{ name: 'web', replicas: 1, listen, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  const { pid } = orchestrator.observe()[0]!
  process.kill(pid!, 'SIGSTOP')
  const statuses = Promise.all(Array.from({ length: 100 }, () => statusWithin(url, 30_000)))
  assert.equal(await statusWithin(url, 300), null, 'nobody accepts')
  process.kill(pid!, 'SIGKILL')
  assert.deepEqual(await statuses, Array.from({ length: 100 }, () => 200))
})

test('a crashed process is replaced by the one on standby, and another takes its place there', async context => {
  const spares = new Spares({ command: [orchestratedProcess], env: {}, log: silentLogger })
  const orchestrator = openProcessOrchestrator({ log: silentLogger, spares })
  context.after(async () => { await orchestrator.stop(100); await spares.dismiss() })
  const spec = { name: 'web', replicas: 1, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }
  await orchestrator.apply([spec])
  const untilReady = async (before: number) => {
    while (orchestrator.observe()[0]?.state !== 'ready' || orchestrator.observe()[0]?.pid === before) await sleep(5)
    return orchestrator.observe()[0]!.pid!
  }
  const first = orchestrator.observe()[0]!.pid!
  assert.deepEqual(spares.pids, [])
  spares.keep({ loads: 'nothing', pauseMs: 0 })
  while (spares.pids.length === 0) await sleep(5)
  const [spare] = spares.pids
  process.kill(first, 'SIGKILL')
  assert.equal(await untilReady(first), spare)
  while (spares.pids.length === 0) await sleep(5)

  // What has ended in the meantime is not taken, and what is dismissed ends.
  const [dead] = spares.pids
  process.kill(dead!, 'SIGKILL')
  process.kill(spare!, 'SIGKILL')
  assert.notEqual(await untilReady(spare!), dead)
  while (spares.pids.length === 0) await sleep(5)
  const [last] = spares.pids
  await spares.dismiss()
  assert.deepEqual([spares.pids, isAlive(last!)], [[], false])
  // Of another program none is taken.
  spares.start('nothing')
  assert.equal(spares.take(['other.ts'], {}), null)
})

test('what cannot become better is tried once', async context => {
  const warnings: unknown[] = []
  const log = { ...silentLogger, warn: (facts: unknown) => { warnings.push(facts) } } as typeof silentLogger
  const orchestrator = openProcessOrchestrator({ log })
  context.after(() => orchestrator.stop(100))
  const spec = (behaviour: string) => [{ name: 'web', replicas: 1, command: [orchestratedProcess], env: { BEHAVIOUR: behaviour } }]
  await assert.rejects(orchestrator.apply(spec('hopeless')), /web \(replica 0\) did not become ready: told why/)
  assert.deepEqual(warnings, [])
  // Where another attempt may help there are three.
  await assert.rejects(orchestrator.apply(spec('never-ready')), /it ended 3 times.*told why/)
  assert.equal(warnings.length, 3)
})

test('a child ends when its supervisor was killed', async () => {
  const supervisor = spawn(process.execPath, [fileURLToPath(new URL('../fixtures/supervisor.ts', import.meta.url)), orchestratedProcess], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [printed] = await once(supervisor.stdout, 'data') as [Buffer]
  const pid = Number(printed.toString())
  assert(isAlive(pid))
  supervisor.kill('SIGKILL')
  const deadlineMs = monotonicMs() + 5_000
  while (isAlive(pid)) {
    if (monotonicMs() > deadlineMs) { process.kill(pid, 'SIGKILL'); assert.fail('the child outlived its supervisor') }
    await sleep(10)
  }
})
