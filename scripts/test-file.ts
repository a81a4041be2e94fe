/**
 * One test file in a process of its own, to its end or to its limit. A file ends when whatever holds its output has ended: one process
 * that a test forgot would keep a run waiting for ever, and say nothing of it.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { inspect } from 'node:util'

/** All that a file starts inherits it. */
const mark = 'TENFOLD_TEST_FILE'
const graceMs = 5_000
/** What node:test says at the end of a run: of several it is one sum. */
const sums = /^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /

export interface FileResult {
  readonly passed: number
  readonly failed: number
  readonly skipped: number
  /** In its tests, without what it takes to load them. */
  readonly spentMs: number
  /** Why what failed did. */
  readonly reasons: readonly string[]
}

/** Runs `file`, a path within `root`; what it prints is written as it comes. Past `limitMs` it has failed, and whatever it started is killed. */
export async function runTestFile(root: string, file: string, limitMs: number, write: (text: string) => void): Promise<FileResult> {
  const result = { passed: 0, failed: 0, skipped: 0, spentMs: 0, reasons: [] as string[] }
  const limit = new AbortController()
  const timer = setTimeout(() => {
    const started = startedBy(file)
    limit.abort(new Error(`${file} had not ended after ${Math.round(limitMs / 60_000)} minutes; of what it started these were still there:\n${started.map(one => `  ${one.pid} ${one.command}`).join('\n')}`))
    end(started)
  }, limitMs)
  const events = run({ files: [path.resolve(root, file)], concurrency: 1, cwd: root, env: { ...process.env, [mark]: file }, signal: limit.signal })
  events.on('test:fail', ({ name, details }) => {
    // A test is also said to fail where one within it did.
    if ((details.error as { failureType?: string }).failureType !== 'subtestsFailed') result.reasons.push(`✖ ${file}: ${name}\n${told(details.error)}`)
  })
  for (const event of ['test:pass', 'test:fail'] as const) events.on(event, ({ nesting, details }) => { if (nesting === 0) result.spentMs += details.duration_ms })
  // The last is the whole run's.
  events.on('test:summary', ({ counts }) => Object.assign(result, { passed: counts.passed, failed: counts.tests - counts.passed - counts.skipped - counts.todo, skipped: counts.skipped }))
  const withoutSums = async function * () {
    for await (const event of events) if (event.type !== 'test:diagnostic' || event.data.file || !sums.test(event.data.message)) yield event
  }
  for await (const text of Readable.from(withoutSums()).compose(new spec())) write(text as string)
  clearTimeout(timer)
  await endForgotten(file, result.reasons)
  if (result.reasons.length > 0 && result.failed === 0) result.failed = 1
  return result
}

const told = (error: Error): string => inspect(error.cause ?? error, { depth: 6, maxStringLength: 4_000, maxArrayLength: 20 }).slice(0, 6_000)

/** What a test left running is a fault of it, or of what it tests. */
async function endForgotten(file: string, reasons: string[]): Promise<void> {
  for (const endMs = performance.now() + graceMs; startedBy(file).length > 0 && performance.now() < endMs;) await new Promise(resolve => setTimeout(resolve, 100))
  const forgotten = startedBy(file)
  if (forgotten.length === 0) return
  reasons.push(`✖ ${file}: left running:\n${forgotten.map(one => `  ${one.pid} ${one.command}`).join('\n')}`)
  end(forgotten)
}

interface Started { readonly pid: number; readonly command: string }

/** Whoever carries the mark of the file; elsewhere than on Linux nobody can be asked. */
function startedBy(file: string): Started[] {
  if (!existsSync('/proc/self/environ')) return []
  return readdirSync('/proc').filter(name => /^\d+$/.test(name)).flatMap(pid => {
    try {
      if (!readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(`${mark}=${file}`)) return []
      // One that has ended and waits to be asked about it has no command.
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
      return command === '' ? [] : [{ pid: Number(pid), command: command.slice(0, 200) }]
    } catch { return [] }
  })
}

function end(started: readonly Started[]): void {
  for (const { pid } of started) try { process.kill(pid, 'SIGKILL') } catch { /* It has ended meanwhile. */ }
}
