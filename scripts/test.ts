/**
 * `npm test`: the engines from Debian, then every test file, and types beside them. `--soak` runs those that have a longer form, at
 * that length.
 * Files run two or three at a time, those that measure alone; each cleans up after itself. `node scripts/test.ts PATH …` runs some of them.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { inspect } from 'node:util'
import { installEngines } from './engines.ts'

const root = path.dirname(import.meta.dirname)
const given = process.argv.slice(2)
const isSoak = given.includes('--soak')
const chosen = given.filter(one => !one.startsWith('--'))
/** What has a longer form: in the soak the others would only run again. */
const soaked = [
  'test/alerts/{burn-rate,live}.test.ts',
  'test/cli/package.test.ts',
  'test/consistency/*.test.ts',
  'test/console/scaled-out.test.ts',
  'test/crash/*.test.ts',
  'test/drivers/nats.test.ts',
  'test/faults/matrix.test.ts',
  'test/hostile.test.ts',
  'test/overload/*.test.ts',
  'test/processes/{balanced,restart,scaled,shared-cache}.test.ts',
  'test/replicas/*.test.ts',
  'test/scaling/scaling.test.ts',
  'test/topologies/conduit.test.ts',
]
/** Too long for every change: in the soak only. */
const soakedOnly = [
  'test/alerts/live.test.ts', 'test/consistency/scaled-out.test.ts', 'test/console/scaled-out.test.ts', 'test/drivers/nats.test.ts', 'test/processes/balanced.test.ts', 'test/processes/scaled.test.ts', 'test/processes/shared-cache.test.ts',
  'test/faults/matrix.test.ts', 'test/replicas/conformance.test.ts', 'test/replicas/sessions.test.ts',
]
/** What does not hold everywhere yet, or takes too long, waits to be named, in the soak: `npm run soak -- FILE` (docs/advisor.md, docs/autoscaling.md, docs/faults.md, docs/database.md; and the long form of test/load/queue.test.ts). */
const named = ['test/faults/controls.test.ts', 'test/faults/replaced.test.ts', 'test/insight/scenarios.test.ts', 'test/replicas/patroni.test.ts', 'test/scaling/replay.test.ts']
/** Whole deployments, which take all processors there are: two at a time, and the longest first, so that none runs alone at the end; one that does without the sample data runs while another makes them. The others mostly wait for one engine. */
const first = [
  'test/advise.test.ts', 'test/processes/restart.test.ts', 'test/topologies/', 'test/faults/', 'test/processes/', 'test/crash/', 'test/replicas/', 'test/console/', 'test/consistency/', 'test/insight/', 'test/overload/', 'test/load/', 'test/cli/', 'test/metrics/',
  'test/cdn/', 'test/hostile.test.ts', 'test/start.test.ts', 'test/observability.test.ts', 'test/mail.test.ts', 'test/upload.test.ts', 'test/readme.test.ts', 'test/client.test.ts', 'examples/',
]
const rankOf = (file: string): number => { const rank = first.findIndex(one => file.startsWith(one)); return rank < 0 ? first.length : rank }

const patterns = isSoak ? soaked : ['test/**/*.test.ts', 'examples/*/**/*.test.ts']
const excluded = ['**/node_modules/**', ...named, ...isSoak ? [] : soakedOnly]
const files = chosen.length > 0 ? chosen : globSync(patterns, { cwd: root, exclude: excluded }).sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))

/** For what the files of this run share: test/support/template.ts. */
const folder = mkdtempSync(path.join(os.tmpdir(), 'tenfold-run-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))

Object.assign(process.env, { TENFOLD_TEST_FOLDER: folder, ...(isSoak ? { TENFOLD_SOAK: '1' } : {}) })
// Some files do a part of what they do when they are named: it must end in time.
if (isSoak && chosen.length === 0) process.env.TENFOLD_SOAK_WHOLE = '1'

async function checkTypes(projects: readonly string[]): Promise<void> {
  for (const project of projects) {
    const compiler = spawn(process.execPath, [path.join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project], { cwd: root, stdio: 'inherit' })
    const [status] = await once(compiler, 'exit') as [number | null]
    if (status === 0) continue
    process.stderr.write(`The types of ${project} are wrong: see what tsc said.\n`)
    process.exitCode = 1
  }
}

/** In the tests of each file, without what it takes to load it. */
const spentMs = new Map<string, number>()

function printLongest(): void {
  const longest = [...spentMs].sort(([, a], [, b]) => b - a).slice(0, 15)
  process.stdout.write(`The longest files, in seconds:\n${longest.map(([file, ms]) => `${(ms / 1_000).toFixed(1).padStart(7)}  ${path.relative(root, file)}`).join('\n')}\n`)
}

/** Why what failed did, again at the end: of long output only the end may be kept. */
const reasons: string[] = []

function noteFailure(name: string, file: string | undefined, error: Error & { readonly failureType?: string }): void {
  process.exitCode = 1
  // A test is also said to fail where one within it did.
  if (error.failureType === 'subtestsFailed') return
  reasons.push(`✖ ${file ? path.relative(root, file) : ''}: ${name}\n${inspect(error.cause ?? error, { depth: 6, maxStringLength: 4_000, maxArrayLength: 20 }).slice(0, 6_000)}`)
}

/** In this order: `node --test` would sort them. */
async function runFiles(chosenFiles: readonly string[], concurrency: number): Promise<void> {
  if (chosenFiles.length === 0) return
  const results = run({ files: chosenFiles.map(file => path.resolve(root, file)), concurrency, cwd: root })
  results.on('test:fail', ({ name, file, details }) => noteFailure(name, file, details.error))
  for (const event of ['test:pass', 'test:fail'] as const) results.on(event, ({ file, nesting, details }) => { if (file && nesting === 0) spentMs.set(file, (spentMs.get(file) ?? 0) + details.duration_ms) })
  for await (const text of results.compose(new spec())) process.stdout.write(text as string)
}

const missing = installEngines()
if (missing.length > 0) process.stderr.write(`Tests that need ${missing.join(', ')} are left out; as root they would be installed.\n`)
const isMeasuring = (file: string): boolean => isSoak && (file.startsWith('test/overload/') || file === 'test/insight/scenarios.test.ts')
const isDeployment = (file: string): boolean => isSoak || rankOf(file) < first.length
await runFiles(files.filter(file => !isMeasuring(file) && isDeployment(file)), 2)
// Beside those that leave processors idle.
const types = checkTypes(chosen.length === 0 && !isSoak ? ['.', 'console'] : [])
await runFiles(files.filter(file => !isMeasuring(file) && !isDeployment(file)), 3)
await runFiles(files.filter(isMeasuring), 1)
await types
if (files.length > 1) printLongest()
if (reasons.length > 0) process.stdout.write(`Why what failed did:\n${reasons.join('\n')}\n`)
