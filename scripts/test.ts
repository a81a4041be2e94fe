/**
 * `npm test`: the engines from Debian, types, then every test file. `--soak` runs those that have a longer form, at
 * that length.
 * Files run two at a time, those that measure alone; each cleans up after itself. `node scripts/test.ts PATH …` runs some of them.
 */
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { installEngines } from './engines.ts'

const root = path.dirname(import.meta.dirname)
const given = process.argv.slice(2)
const isSoak = given.includes('--soak')
const chosen = given.filter(one => !one.startsWith('--'))
/** What has a longer form: in the soak the others would only run again. */
const soaked = [
  'test/alerts/burn-rate.test.ts',
  'test/cli/package.test.ts',
  'test/consistency/*.test.ts',
  'test/crash/*.test.ts',
  'test/drivers/nats.test.ts',
  'test/faults/*.test.ts',
  'test/hostile.test.ts',
  'test/overload/flush.test.ts',
  'test/processes/shared-cache.test.ts',
  'test/replicas/*.test.ts',
  'test/scaling/scaling.test.ts',
]
/** Too long for every change: in the soak only. */
const soakedOnly = ['test/drivers/nats.test.ts', 'test/processes/shared-cache.test.ts', 'test/replicas/sessions.test.ts']
/** What does not hold everywhere yet waits to be named, in the soak: `npm run soak -- FILE` (docs/advisor.md, docs/faults.md, docs/overload.md; and the long form of test/load/queue.test.ts). */
const named = ['test/faults/controls.test.ts', 'test/faults/replaced.test.ts', 'test/insight/scenarios.test.ts', 'test/overload/overload.test.ts']
/** The longest first, so that none runs alone at the end. */
const first = ['test/advise.test.ts', 'test/topologies/conduit.test.ts', 'test/processes/', 'test/faults/', 'test/crash/', 'test/replicas/', 'test/consistency/']
const rankOf = (file: string): number => { const rank = first.findIndex(one => file.startsWith(one)); return rank < 0 ? first.length : rank }

const patterns = isSoak ? soaked : ['test/**/*.test.ts', 'examples/*/**/*.test.ts']
const excluded = ['**/node_modules/**', ...isSoak ? [] : [...soakedOnly, ...named]]
const files = chosen.length > 0 ? chosen : globSync(patterns, { cwd: root, exclude: excluded }).sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))

/** For what the files of this run share: test/support/seeded-data.ts. */
const folder = mkdtempSync(path.join(os.tmpdir(), 'tenfold-run-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

Object.assign(process.env, { TENFOLD_TEST_FOLDER: folder, ...(isSoak ? { TENFOLD_SOAK: '1' } : {}) })

function typesOf(project: string): void {
  const { status } = spawnSync(process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

/** In this order: `node --test` would sort them. */
async function runFiles(chosenFiles: readonly string[], concurrency: number): Promise<void> {
  if (chosenFiles.length === 0) return
  const results = run({ files: chosenFiles.map(file => path.resolve(root, file)), concurrency, cwd: root })
  results.on('test:fail', () => { process.exitCode = 1 })
  for await (const text of results.compose(new spec())) process.stdout.write(text as string)
}

const missing = installEngines()
if (missing.length > 0) process.stderr.write(`Tests that need ${missing.join(', ')} are left out; as root they would be installed.\n`)
if (chosen.length === 0) for (const project of ['.', 'console']) typesOf(project)
const isMeasuring = (file: string): boolean => isSoak && (file.startsWith('test/overload/') || file === 'test/insight/scenarios.test.ts')
await runFiles(files.filter(file => !isMeasuring(file)), 2)
await runFiles(files.filter(isMeasuring), 1)
