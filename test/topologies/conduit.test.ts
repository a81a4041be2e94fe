/**
 * The headline: the RealWorld suite on every topology with the same source, on an empty and
 * on a populated database; on topology 1 with every call between services serialised and
 * repeated; and on several processes.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { mkdtemp, rename, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { conduitFile, startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { publicSuiteIsThere, runPublicSuite } from '../realworld/public-suite.ts'
import { runCases } from '../realworld/own-cases.ts'

const root = path.resolve(import.meta.dirname, '../..')
const requests = 154
const topologies = [
  ...readdirSync(path.join(path.dirname(conduitFile), 'topologies')).map(file => file.replace(/\.ts$/, '')).sort(),
  ...['serialising.ts', 'two-processes.ts'].map(file => path.join(import.meta.dirname, file)),
]

/** The first deployment's data, seeded: copied for the others, since seeding takes longer than all the rest. */
let seeded: string | undefined
after(async () => { if (seeded) await rm(seeded, { recursive: true, force: true }) })

async function copyOfSeeded(): Promise<string> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-seeded-'))
  await rm(folder, { recursive: true })
  // The cluster belongs to another user when root runs this, so owners go along.
  await promisify(execFile)('cp', ['-a', seeded!, folder])
  return folder
}

async function seed(deployment: TestDeployment): Promise<void> {
  const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'seed', '--app', conduitFile, '--json'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder, LOG_LEVEL: 'warn' } })
  assert.deepEqual(JSON.parse(stdout), { users: 200, articles: 2_000, favorites: 10_000, follows: 4_000, comments: 5_000 })
}

const assertNoErrors = (deployment: TestDeployment) => assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)

async function runBoth(t: TestContext, state: string, url: string): Promise<void> {
  await t.test(`own cases, ${state}`, () => runCases(url))
  await t.test(`public suite, ${state}`, { skip: publicSuiteIsThere ? false : '../shared/realworld is not here' }, async () => {
    const result = await runPublicSuite(url)
    assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, result.output.slice(-6_000))
  })
}

for (const topology of topologies) {
  test(`Conduit on ${path.basename(topology)}`, async t => {
    let deployment = await startDeployment({ topology })
    t.after(() => deployment.close())
    await runBoth(t, 'empty', deployment.url)
    assertNoErrors(deployment)
    if (seeded) {
      await deployment.close()
      deployment = await startDeployment({ topology, dataFolder: await copyOfSeeded() })
    } else await t.test('seed beside the running deployment', () => seed(deployment))
    await runBoth(t, 'populated', deployment.url)
    assertNoErrors(deployment)
    if (seeded) return
    await deployment.end()
    seeded = `${deployment.dataFolder}-seeded`
    await rename(deployment.dataFolder, seeded)
  })
}
