/** The orchestrator of child processes keeps the port's contract, and its children its own. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { silentLogger } from '../../src/base/log.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { verify } from '../../src/conformance/check.ts'
import { orchestratorSuite } from '../../src/conformance/orchestrator.ts'
import { openProcessOrchestrator } from '../../src/drivers/process/orchestrator.ts'
import { orchestratedProcess, orchestratorSubject } from '../fixtures/orchestrator-subject.ts'
import { isAlive } from '../support/liveness.ts'

const driver = {
  name: 'process', supports: ['listen'],
  open: async () => orchestratorSubject(openProcessOrchestrator({ log: silentLogger })),
}

for (const one of verify(orchestratorSuite, driver)) test(one.name, { skip: one.skip ?? false }, () => one.run())

test('the time until a killed process is back (printed, not asserted)', async context => {
  const orchestrator = openProcessOrchestrator({ log: silentLogger })
  context.after(() => orchestrator.stop(100))
  await orchestrator.apply([{ name: 'web', replicas: 1, command: [orchestratedProcess], env: { BEHAVIOUR: 'well' } }])
  const startMs = monotonicMs()
  process.kill(orchestrator.observe()[0]!.pid!, 'SIGKILL')
  while (orchestrator.observe()[0]?.restarts !== 1 || orchestrator.observe()[0]?.state !== 'ready') await sleep(1)
  context.diagnostic(`back after ${Math.round(monotonicMs() - startMs)} ms`)
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
