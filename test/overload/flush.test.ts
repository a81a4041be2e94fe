/**
 * Every kept answer is forgotten at once, under load: on topology 2, at 80 % of what it can
 * do on reads by Zipf's law. Each answer is read from the database once in each process that
 * is asked for it, however many ask meanwhile, and goodput is back within 5 s.
 *
 * Negative control: without single flight everyone who asks meanwhile reads.
 *
 * Under load for the soak only: it measures, which takes a machine that does nothing else.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { test } from 'node:test'
import { runLoad } from '../../bench/load/load.ts'
import { recoveryMs, stretch } from '../../bench/load/stretch.ts'
import { readAdminToken } from '../../src/boot/deployment.ts'
import { sleep } from '../../src/base/time.ts'
import type { IntentCount } from '../../src/runtime/statistics.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { gatherCrowd, readerRequests } from './crowd.ts'

const skip = process.env.TENFOLD_SOAK === '1' ? false : 'runs in npm run soak'
const loadPart = 0.8
const recoveryMsMax = 5_000
const sliceMs = 250
const common = { connections: 32, sliceMs, warmupMs: 2_000 }
const [calmMs, afterMs] = [4_000, 8_000]

interface Flushed { readonly flushed: readonly { readonly name: string }[] }

interface Context { after(close: () => Promise<void>): void; diagnostic(text: string): void }

async function runsByIntent({ adminUrl }: TestDeployment): Promise<Map<string, number>> {
  const counts = await (await fetch(`${adminUrl}/statistics`)).json() as IntentCount[]
  return new Map(counts.map(({ intent, calls }) => [intent, calls]))
}

/** How many processes had answers to forget. */
async function flush({ adminUrl, dataFolder }: TestDeployment): Promise<number> {
  const response = await fetch(`${adminUrl}/flush-cache`, { method: 'POST', headers: { authorization: `Bearer ${await readAdminToken(dataFolder)}` } })
  assert.equal(response.status, 200)
  return (await response.json() as Flushed).flushed.filter(({ name }) => name === 'web').length
}

/** Until nothing is read any more: what writing had invalidated is kept again. */
async function settled(deployment: TestDeployment): Promise<Map<string, number>> {
  for (let before = await runsByIntent(deployment); ;) {
    await sleep(500)
    const after = await runsByIntent(deployment)
    if (JSON.stringify([...after]) === JSON.stringify([...before])) return after
    before = after
  }
}

interface Outcome {
  readonly processes: number
  /** Runs since the flush and the most there may be, by intent. */
  readonly runs: readonly { readonly intent: string; readonly runs: number; readonly runsMax: number }[]
  readonly recoveryMs: number | null
  readonly generatorLoad: number
}

async function flushUnderLoad(t: Context, env: Record<string, string> = {}): Promise<Outcome> {
  const deployment = await startDeployment({ topology: '2-tuned', env })
  t.after(() => deployment.close())
  const { requests, answersByIntent } = readerRequests(await gatherCrowd(deployment.url))
  const { url } = deployment
  const peak = await runLoad({ ...common, url, requests, durationMs: calmMs })
  const flushing = Promise.withResolvers<{ processes: number; before: Map<string, number> }>()
  const running = runLoad({
    ...common, url, requests, durationMs: calmMs + afterMs, ratePerSecond: loadPart * peak.goodPerSecond, timeoutMs: Math.max(1_000, 10 * peak.p50Ms),
    onMeasure: () => {
      void (async () => {
        await sleep(calmMs)
        const before = await runsByIntent(deployment)
        return { before, processes: await flush(deployment) }
      })().then(flushing.resolve, flushing.reject)
    },
  })
  const [report, { processes, before }] = await Promise.all([running, flushing.promise])
  const after = await settled(deployment)
  const runs = Object.entries(answersByIntent).map(([intent, answers]) => ({ intent, runs: after.get(intent)! - before.get(intent)!, runsMax: answers * processes }))
  const calm = stretch(report.slices.filter(({ atMs }) => atMs < calmMs), sliceMs)
  const recovered = recoveryMs(report.slices.filter(({ atMs }) => atMs >= calmMs), calm, sliceMs)
  t.diagnostic(`peak ${Math.round(peak.goodPerSecond)}/s; at ${Math.round(100 * loadPart)} %: ${Math.round(calm.goodPerSecond)}/s good, p99 ${calm.p99Ms.toFixed(1)} ms; flush of ${processes} processes: ${runs.map(one => `${one.intent} read ${one.runs} times of at most ${one.runsMax}`).join(', ')}; as before after ${recovered} ms; generator ${Math.round(100 * report.generatorLoad)} % busy${report.generatorLoad > 0.9 ? ': IT IS THE LIMIT' : ''}`)
  return { processes, runs, recoveryMs: recovered, generatorLoad: report.generatorLoad }
}

test('tenfold flush-cache reaches every process that keeps answers', async t => {
  const deployment = await startDeployment({ topology: '2-tuned' })
  t.after(() => deployment.close())
  const webs = availableParallelism()
  // A connection each, which go to the processes in turn.
  const read = async () => {
    await Promise.all(Array.from({ length: 4 * webs }, async () => (await fetch(`${deployment.url}/api/tags`, { headers: { connection: 'close' } })).text()))
    return (await runsByIntent(deployment)).get('articles.tags')!
  }
  const kept = await read()
  assert.equal(await read(), kept, 'kept')
  const env = { ...process.env, ADMIN_PORT: new URL(deployment.adminUrl).port, TENFOLD_DATA: deployment.dataFolder }
  const { stdout } = await promisify(execFile)(process.execPath, ['src/cli/main.ts', 'flush-cache', '--json'], { cwd: path.resolve(import.meta.dirname, '../..'), env })
  assert.equal((JSON.parse(stdout) as Flushed).flushed.filter(({ name }) => name === 'web').length, webs)
  assert.equal(await read(), kept + webs, 'read again once in each process')
})

test('a flush under load reads each answer once in each process, and passes', { skip }, async t => {
  const { processes, runs, recoveryMs } = await flushUnderLoad(t)
  assert.ok(processes >= 1)
  for (const one of runs) {
    assert.ok(one.runs <= one.runsMax, `${one.intent} was read ${one.runs} times, ${one.runsMax} would do`)
    assert.ok(one.runs >= one.runsMax / processes, `${one.intent} was forgotten`)
  }
  assert.ok(recoveryMs !== null && recoveryMs <= recoveryMsMax, `goodput was back after ${recoveryMs} ms`)
})

test('negative control: without single flight a flush reads answers more often', { skip }, async t => {
  const { runs } = await flushUnderLoad(t, { TENFOLD_SINGLE_FLIGHT: 'off' })
  assert.ok(runs.some(one => one.runs > one.runsMax), 'the test cannot see what it is for')
})
