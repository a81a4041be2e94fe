/**
 * The data folder of a Conduit with the sample data. Seeding takes longer than most tests, so one run of `npm test`
 * seeds once, beside a running deployment as a user would, and every test that asks gets a copy.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { chmod, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after } from 'node:test'
import { promisify } from 'node:util'
import { sleep } from '../../src/base/time.ts'
import { conduitFile, startDeployment } from './deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')
const waitMs = 50

/** Set by scripts/test.ts, which also removes it: the folder that the files of one run share. */
let shared = process.env.TENFOLD_TEST_FOLDER

async function folderOfThisRun(): Promise<string> {
  if (shared) return shared
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-run-'))
  after(() => rm(folder, { recursive: true, force: true, maxRetries: 5 }))
  return shared = folder
}

/** A copy for the caller, who removes it. Its Postgres does not run. */
export async function copyOfSeededData(): Promise<string> {
  const template = await seededData(await folderOfThisRun())
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-seeded-'))
  await rm(folder, { recursive: true })
  // The cluster belongs to another user when root runs this, so owners go along.
  await promisify(execFile)('cp', ['-a', template, folder])
  // Each takes a port of its own, since copies run at the same time.
  await rm(path.join(folder, 'postgres/postgres.port'), { force: true })
  return folder
}

async function seededData(folder: string): Promise<string> {
  const [template, failed, claim] = ['seeded', 'seeding-failed', 'seeding'].map(name => path.join(folder, name)) as [string, string, string]
  if (existsSync(template)) return template
  try { mkdirSync(claim) } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // Another file of this run has begun.
    while (!existsSync(template)) {
      if (existsSync(failed)) throw new Error('seeding has failed in another test of this run')
      await sleep(waitMs)
    }
    return template
  }
  try {
    await rename(await seed(), template)
    await chmod(folder, 0o755)
  } catch (error) {
    await writeFile(failed, '')
    throw error
  }
  return template
}

async function seed(): Promise<string> {
  const deployment = await startDeployment()
  const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'seed', '--app', conduitFile, '--json'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder, LOG_LEVEL: 'warn' } })
  assert.deepEqual(JSON.parse(stdout), { users: 200, articles: 2_000, favorites: 10_000, follows: 4_000, comments: 5_000 })
  assert.equal(await deployment.end(), 0, deployment.output())
  assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)
  return deployment.dataFolder
}
