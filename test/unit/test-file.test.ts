/** A run of tests ends whatever a file does: what never ends is ended at its limit, and what a file leaves running is told. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import type { FileResult } from '../../scripts/test-file.ts'

const longMs = 60_000
/** Elsewhere nobody can be asked what a file has started. */
const skip = process.platform === 'linux' ? false : 'there is no /proc'

async function run(t: TestContext, source: string, limitMs = longMs): Promise<FileResult & { readonly text: string }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-test-file-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  await writeFile(path.join(folder, 'one.test.mjs'), `import { test } from 'node:test'\nimport { spawn } from 'node:child_process'\n${source}`)
  // In a process that is no test: node:test runs no tests within tests.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  await writeFile(path.join(folder, 'run.mjs'), `
    import { runTestFile } from ${JSON.stringify(path.resolve(import.meta.dirname, '../../scripts/test-file.ts'))}
    let text = ''
    const result = await runTestFile(process.cwd(), 'one.test.mjs', ${limitMs}, part => { text += part })
    process.stdout.write(JSON.stringify({ ...result, text }))`)
  const { stdout } = await promisify(execFile)(process.execPath, ['run.mjs'], { cwd: folder, env })
  return JSON.parse(stdout)
}

test('a file is counted and told, without sums of its own', async t => {
  const { text, ...result } = await run(t, `
    test('good', t => t.diagnostic('tests 17 things'))
    test('left out', { skip: true }, () => {})
    test('bad', async t => { await t.test('inner', () => { throw new Error('for this reason') }) })`)
  assert.deepEqual({ ...result, spentMs: 0, reasons: 0 }, { passed: 1, failed: 2, skipped: 1, spentMs: 0, reasons: 0 })
  assert.equal(result.reasons.length, 1)
  assert.match(result.reasons[0]!, /^✖ one\.test\.mjs: inner\n.*for this reason/s)
  assert.match(text, /✔ good/)
  assert.match(text, /tests 17 things/)
  assert.doesNotMatch(text, /tests \d+$/m)
})

test('what never ends is ended at its limit, with whatever it started', { skip }, async t => {
  const { failed, reasons } = await run(t, `test('waits', async () => { spawn('sleep', ['600']); await new Promise(() => {}) })`, 1_500)
  assert.equal(failed, 1)
  assert.match(reasons.join('\n'), /one\.test\.mjs had not ended.*sleep 600/s)
  assert.doesNotMatch(reasons.join('\n'), /left running/)
})

test('whose output a forgotten process holds, too', { skip }, async t => {
  const { passed, reasons } = await run(t, `test('forgets', () => { spawn('sleep', ['600'], { stdio: 'inherit', detached: true }).unref() })`, 1_500)
  assert.equal(passed, 1)
  assert.match(reasons.join('\n'), /had not ended.*sleep 600/s)
})

test('what is left running fails the file, and is ended', { skip }, async t => {
  const { passed, failed, reasons } = await run(t, `test('forgets', () => { spawn('sleep', ['600'], { stdio: 'ignore', detached: true }).unref() })`)
  assert.deepEqual([passed, failed], [1, 1])
  assert.match(reasons.join('\n'), /left running:\n {2}\d+ sleep 600/)
})
