/** `tenfold seed` killed in between: the next one does what is left, once; and one more does nothing. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import path from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { startDeployment } from '../support/deployment.ts'

const root = path.resolve(import.meta.dirname, '../..')
const appFile = path.join(root, 'test/fixtures/console/app.ts')

test('a seed that was interrupted goes on where it was', async t => {
  const deployment = await startDeployment({ appFile })
  t.after(() => deployment.close())
  const seed = (env: Record<string, string> = {}) => promisify(execFile)(process.execPath, ['src/cli/main.ts', 'seed', '--app', appFile, '--json'], { cwd: root, env: { ...process.env, TENFOLD_DATA: deployment.dataFolder, LOG_LEVEL: 'warn', ...env } })
  await assert.rejects(seed({ INTERRUPTED: '1' }), { signal: 'SIGKILL' })
  assert.deepEqual(JSON.parse((await seed()).stdout), { notes: 15 })
  await seed()
  const { notes } = await (await fetch(`${deployment.url}/authors/ann/notes`)).json() as { notes: { text: string }[] }
  const texts = notes.map(one => one.text)
  // The list would show 20.
  assert.deepEqual(texts, ['alike', 'alike', ...Array.from({ length: 13 }, (_, index) => `note ${index + 2}`)])
})
