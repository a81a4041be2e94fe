/**
 * The headline: the RealWorld suite on every topology with the same source, on an empty and
 * on a populated database; on topology 1 with every call between services serialised and
 * repeated; and on several processes.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { conduitFile, startDeployment } from '../support/deployment.ts'
import { publicSuiteIsThere, runPublicSuite } from '../realworld/public-suite.ts'
import { runCases } from '../realworld/own-cases.ts'

const root = path.resolve(import.meta.dirname, '../..')
const requests = 154
const topologies = [
  ...readdirSync(path.join(path.dirname(conduitFile), 'topologies')).map(file => file.replace(/\.ts$/, '')).sort(),
  ...['serialising.ts', 'two-processes.ts'].map(file => path.join(import.meta.dirname, file)),
]

for (const topology of topologies) {
  test(`Conduit on ${path.basename(topology)}`, async t => {
    const deployment = await startDeployment({ topology })
    t.after(() => deployment.close())
    const both = async (state: string) => {
      await t.test(`own cases, ${state}`, () => runCases(deployment.url))
      await t.test(`public suite, ${state}`, { skip: publicSuiteIsThere ? false : '../shared/realworld is not here' }, async () => {
        const result = await runPublicSuite(deployment.url)
        assert.deepEqual({ requests: result.requests, passed: result.passed, assertions: result.assertionsPassed }, { requests, passed: requests, assertions: result.assertions }, result.output.slice(-6_000))
      })
    }
    await both('empty')
    await t.test('seed beside the running deployment', async () => {
      const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'seed', '--app', conduitFile, '--json'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder, LOG_LEVEL: 'warn' } })
      assert.deepEqual(JSON.parse(stdout), { users: 200, articles: 2_000, favorites: 10_000, follows: 4_000, comments: 5_000 })
    })
    await both('populated')
    assert.equal(deployment.output().match(/"level":(50|60)/g), null, `errors in the log:\n${deployment.output()}`)
  })
}
