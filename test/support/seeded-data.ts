/**
 * The data folder of a Conduit with the sample data. Seeding takes longer than most tests, so it is a template, seeded
 * beside a running deployment as a user would.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { conduitFile, startDeployment } from './deployment.ts'
import type { TestDeployment } from './deployment.ts'
import { readPage } from './metric-page.ts'
import { copyOfTemplate } from './template.ts'

const root = path.resolve(import.meta.dirname, '../..')

/** A copy for the caller, who removes it. Its Postgres does not run. */
export async function copyOfSeededData(): Promise<string> {
  const folder = await copyOfTemplate('seeded', seed)
  // Each takes a port of its own, since copies run at the same time.
  await rm(path.join(folder, 'postgres/postgres.port'), { force: true })
  return folder
}

const patienceMs = 120_000

/** What follows from the sample data is there as well, or each copy would have it to do; what is left after that long, the copies do. */
async function caughtUp({ adminUrl }: TestDeployment): Promise<void> {
  const isDone = async () => {
    const page = await readPage(adminUrl)
    const left = page.total('tenfold_bus_waiting') + page.total('tenfold_queue_jobs', { state: 'waiting' }) + page.total('tenfold_queue_jobs', { state: 'running' })
    return page.total('tenfold_engine_up', { engine: 'postgres' }) === 1 && left === 0
  }
  for (const endMs = monotonicMs() + patienceMs; monotonicMs() < endMs && !await isDone();) await sleep(250)
}

async function seed(): Promise<string> {
  const deployment = await startDeployment()
  // What goes on running would keep the test from ending.
  return seedInto(deployment).catch(async (error: unknown) => { await deployment.close(); throw error })
}

async function seedInto(deployment: TestDeployment): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'seed', '--app', conduitFile, '--json'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder, LOG_LEVEL: 'warn' } })
  assert.deepEqual(JSON.parse(stdout), { users: 200, articles: 2_000, favorites: 10_000, follows: 4_000, comments: 5_000 })
  await caughtUp(deployment)
  assert.equal(await deployment.end(), 0, deployment.output())
  assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)
  return deployment.dataFolder
}
