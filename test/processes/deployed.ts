/** What the tests of this folder do to a deployment: look at its processes, replace them, kill them. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import type { ProcessState } from '../../src/ports/orchestrator.ts'
import type { TestDeployment } from '../support/deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')
/** Said to be 2 s; printed and not asserted, since a busy machine takes as long as it takes. */
export const patienceMs = 60_000
export type Status = ProcessState & { readonly does: string; readonly since: string }

export const statusOf = async ({ adminUrl }: TestDeployment): Promise<Status[]> => (await (await fetch(`${adminUrl}/status`)).json() as { processes: Status[] }).processes
const pidOf = (states: readonly Status[], name: string, replica: number) => states.find(one => one.name === name && one.replica === replica)!.pid!

export async function restart({ adminUrl, dataFolder }: TestDeployment): Promise<void> {
  const env = { ...process.env, ADMIN_PORT: new URL(adminUrl).port, TENFOLD_DATA: dataFolder }
  await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'restart'], { cwd: root, env })
}

/** Resolves when it is back. */
export async function kill(deployment: TestDeployment, name: string, replica: number): Promise<number> {
  const pid = pidOf(await statusOf(deployment), name, replica)
  process.kill(pid, 'SIGKILL')
  const atMs = monotonicMs()
  const isBack = (one: Status) => one.name === name && one.replica === replica && one.state === 'ready' && one.pid !== pid
  while (!(await statusOf(deployment)).some(isBack)) {
    assert.ok(monotonicMs() - atMs < patienceMs, `${name} ${replica} is not back`)
    await sleep(20)
  }
  return monotonicMs() - atMs
}

/** A read that waits for a read model, on a machine that is too busy to start its worker in time. */
export const isBehind = (failure: string): boolean => failure.includes('has not caught up')
