/**
 * Five hours and forty minutes of the World Cup 1998 site, with a match in them, upon real processes that
 * have a fifth of a core each: thirty times as fast, the autoscaler's time too, so that a process
 * which starts in three seconds is one that takes a minute and a half. What was bought, and what was late.
 *
 * Negative control: the same hours with as few processes as they begin with.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { promisify } from 'node:util'
import { skipWithout } from '../../scripts/engines.ts'
import { quotaMend } from '../../src/base/cpu-quota.ts'
import { every, monotonicMs } from '../../src/base/time.ts'
import type { LoadReport } from '../../src/load/report.ts'
import { statusOf } from '../processes/deployed.ts'
import { startDeployment } from '../support/deployment.ts'
import { copyOfSeededData } from '../support/seeded-data.ts'
import { tracesAreThere } from './trace.ts'

const root = path.resolve(import.meta.dirname, '../..')
const trace = path.resolve(root, '../shared/traces/worldcup98_1min.csv')
const skip = quotaMend() ?? (tracesAreThere ? skipWithout('haproxy') : '../shared/traces is not here')
const speed = 30
/** Three quarters of an hour before the crowd comes, until it has gone: fewer would end before processes have warmed up and gone again. */
const fromMinute = 97_720
const minutes = 340
/** By then the crowd is there. */
const controlMinutes = 180
/** Journeys of readers, four to five requests each, in the busiest minute. */
const peakPerSecond = 220
/** A second is violated when its slowest hundredth took longer; the first seconds run cold. */
const lateMs = 500
const coldSeconds = 10

interface Hours { readonly report: LoadReport; readonly nodeSeconds: number; readonly most: number; readonly least: number; readonly violatedSeconds: number }

async function replay(t: TestContext, minutes: number, env: Record<string, string>): Promise<Hours> {
  const deployment = await startDeployment({ topology: path.join(root, 'test/topologies/replayed.ts'), dataFolder: await copyOfSeededData(), env: { TENFOLD_SCALING_SPEED: String(speed), ...env } })
  t.after(async () => { await deployment.end(); await rm(deployment.dataFolder, { recursive: true, force: true }) })
  let [nodeSeconds, lookedAtMs] = [0, monotonicMs()]
  const counts: number[] = []
  const stop = every(500, async () => {
    const running = (await statusOf(deployment)).filter(one => one.name === 'web' && one.pid !== null).length
    counts.push(running)
    nodeSeconds += running * (monotonicMs() - lookedAtMs) / 1_000
    lookedAtMs = monotonicMs()
  })
  const argv = ['src/cli/main.ts', 'load', '--app', 'examples/conduit/app.ts', '--json', '--url', deployment.url, '--trace', trace, '--speed', String(speed), '--from', `${fromMinute * 60}s`,
    '--for', `${minutes * 60 / speed}s`, '--peak', String(peakPerSecond), '--mix', 'reader=1', '--think', '0.05']
  // Without the admin port it gathers no evidence, which small processes would be kept busy with.
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: root, maxBuffer: 64 * 1_048_576, env: { ...process.env, PORT: new URL(deployment.url).port } })
  stop()
  const report = JSON.parse(stdout) as LoadReport
  const violatedSeconds = report.timeline.filter(one => one.second > coldSeconds && (one.p99Ms > lateMs || one.refused + one.failed > 0)).length
  const hours = { report, nodeSeconds, most: Math.max(...counts), least: Math.min(...counts), violatedSeconds }
  const { total, seconds, generator } = report
  t.diagnostic(`${total.answers} answers, ${total.refused} refused, ${total.failed} failed, p50 ${total.p50Ms.toFixed(1)} ms, p99 ${total.p99Ms.toFixed(0)} ms; ${hours.least} to ${hours.most} processes, ${(nodeSeconds / seconds).toFixed(2)} on average; ${violatedSeconds} of ${Math.round(seconds)} s violated; generator ${generator.isBound ? `bound: ${generator.why}` : 'not bound'}`)
  return hours
}

test('processes follow a recorded day', { skip, timeout: 900_000 }, async t => {
  const { report: { total, seconds }, most, least, violatedSeconds } = await replay(t, minutes, {})
  // What was bought is told, not judged: in half a second chance alone moves the load of small processes. The simulation judges it.
  assert.ok(most >= 3 * least, `${least} to ${most} processes`)
  assert.ok(violatedSeconds <= 0.05 * seconds, `${violatedSeconds} of ${seconds} s`)
  assert.equal(total.failed, 0)
})

test('negative control: without scaling the crowd waits', { skip, timeout: 900_000 }, async t => {
  // Slow enough not to decide anything in this time.
  const { violatedSeconds, report: { seconds } } = await replay(t, controlMinutes, { TENFOLD_SCALING_SPEED: '0.001' })
  assert.ok(violatedSeconds > 0.05 * seconds, `${violatedSeconds} of ${seconds} s`)
})
