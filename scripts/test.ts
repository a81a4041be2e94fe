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
import { installEngines } from './engines.ts'
import { runTestFile } from './test-file.ts'
import type { FileResult } from './test-file.ts'

const root = path.dirname(import.meta.dirname)
const given = process.argv.slice(2)
const isSoak = given.includes('--soak')
const chosen = given.filter(one => !one.startsWith('--'))
/** Of a file: several times what the longest takes. What is named may take longer. */
const limitMs = (chosen.length > 0 ? 60 : isSoak ? 20 : 8) * 60_000
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

const finished = new Map<string, FileResult>()

/** In this order, so many at a time. What a file prints comes in one piece when it has ended; of one that runs alone, as it comes. */
async function runFiles(chosenFiles: readonly string[], concurrency: number): Promise<void> {
  const waiting = [...chosenFiles]
  const isAlone = concurrency === 1 || waiting.length === 1
  const runNext = async (): Promise<void> => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      let text = ''
      finished.set(file, await runTestFile(root, file, limitMs, isAlone ? part => process.stdout.write(part) : part => { text += part }))
      if (!isAlone) process.stdout.write(`${file}\n${text}`)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, runNext))
}

/** The sums, and why what failed did once more: of long output only the end may be kept. */
function printEnd(): void {
  const results = [...finished]
  const longest = results.sort(([, a], [, b]) => b.spentMs - a.spentMs).slice(0, 15)
  if (results.length > 1) process.stdout.write(`The longest files, in seconds:\n${longest.map(([file, { spentMs }]) => `${(spentMs / 1_000).toFixed(1).padStart(7)}  ${file}`).join('\n')}\n`)
  const reasons = results.flatMap(([, result]) => result.reasons)
  if (reasons.length > 0) process.stdout.write(`Why what failed did:\n${reasons.join('\n')}\n`)
  const sum = (count: (result: FileResult) => number): number => results.reduce((total, [, result]) => total + count(result), 0)
  process.stdout.write(`${sum(one => one.passed)} passed, ${sum(one => one.failed)} failed, ${sum(one => one.skipped)} skipped\n`)
  if (sum(one => one.failed) > 0) process.exitCode = 1
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
printEnd()
