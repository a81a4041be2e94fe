/**
 * Three times its capacity arrives at Conduit (I9): it goes on doing as much as it can, is
 * itself again within 5 s of the end, and has lost nothing it acknowledged. What is enough is
 * a part of what the same run measured before, so that it holds on any machine.
 *
 * Negative control: without the limiter, what is done in time collapses.
 *
 * For the soak only: it measures, which takes a machine that does nothing else.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { overload, overloadText } from '../../bench/overload.ts'
import type { OverloadReport } from '../../bench/overload.ts'
import { startDeployment } from '../support/deployment.ts'
import { commentsOf, crowdRequests, gatherCrowd } from './crowd.ts'

const skip = process.env.TENFOLD_SOAK === '1' ? false : 'runs in npm run soak'
const rounds = 3
const goodputPart = 0.9
const recoveryMs = 5_000

async function run(t: { after(close: () => Promise<void>): void; diagnostic(text: string): void }, count: number, env: Record<string, string> = {}): Promise<OverloadReport[]> {
  const deployment = await startDeployment({ env })
  t.after(() => deployment.close())
  const crowd = await gatherCrowd(deployment.url)
  const reports: OverloadReport[] = []
  for (let round = 0; round < count; round++) {
    const report = await overload({ url: deployment.url, requests: crowdRequests(crowd), pid: deployment.process.pid! })
    t.diagnostic(overloadText(report))
    reports.push(report)
  }
  const found = await commentsOf(deployment.url, crowd)
  const [acknowledged, refused] = [reports.flatMap(one => one.acknowledged), reports.flatMap(one => one.refused)]
  t.diagnostic(`${acknowledged.length} comments acknowledged, ${refused.length} refused`)
  assert.deepEqual(acknowledged.filter(one => found.get(one) !== 1), [], 'an acknowledged comment is there, once')
  assert.deepEqual(refused.filter(one => found.has(one)), [], 'a refused comment is not there')
  assert.ok(acknowledged.length > 0)
  return reports
}

/** Per second; or, when the machine gave the server less time than at the peak, of that time. */
const goodput = ({ goodputRatio, perCpuRatio }: OverloadReport): number => Math.max(goodputRatio, perCpuRatio ?? 0)

const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[values.length >> 1]!

test('at three times its capacity it does what it can, and recovers', { skip }, async t => {
  const reports = await run(t, rounds)
  for (const { generatorLoad, peakByStatus } of reports) {
    assert.ok(generatorLoad < 0.9, 'the generator was the limit: this measures nothing')
    assert.deepEqual(Object.keys(peakByStatus).filter(status => !status.startsWith('2')), [], '32 connections are ordinary load: nobody is refused')
  }
  assert.ok(reports.some(one => one.during.refusedPerSecond > 0), 'it was overloaded')
  assert.ok(median(reports.map(goodput)) >= goodputPart, 'goodput stays')
  for (const report of reports) {
    assert.ok(report.recoveryMs !== null && report.recoveryMs <= recoveryMs, `recovered after ${report.recoveryMs} ms`)
    assert.ok(report.during.p50Ms <= report.deadlineMs / 2, 'who is let in does not wait long')
  }
})

test('negative control: without the limiter it collapses', { skip }, async t => {
  const [report] = await run(t, 1, { TENFOLD_LIMITER: 'off' })
  assert.ok(goodput(report!) < goodputPart || report!.recoveryMs === null || report!.recoveryMs > recoveryMs, 'the test cannot see what it is for')
})
