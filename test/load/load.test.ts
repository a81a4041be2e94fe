/** Load runs with real generator processes against a small shop: sessions, counting, the ledger, who is the limit, and the report. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { constantProfile } from '../../src/load/profile.ts'
import { reportPage } from '../../src/load/report-page.ts'
import { reportText } from '../../src/load/report-text.ts'
import { runLoad } from '../../src/load/run.ts'
import type { LoadProgress, LoadReport } from '../../src/load/report.ts'

const root = path.resolve(import.meta.dirname, '../..')
const journeys = path.join(root, 'test/fixtures/shop-journeys.ts')
const orders = new Set<string>()
let url = ''
let folder = ''

const shop = http.createServer((request, response) => {
  const place = request.url!
  const answer = (status: number, text = '', headers: Record<string, string> = {}) => response.writeHead(status, { 'content-length': Buffer.byteLength(text), ...headers }).end(text)
  if (place === '/never') return
  if (place === '/full') return answer(503)
  if (place === '/door') return answer(200, 'in', { 'set-cookie': 'visitor=1; Max-Age=60; Path=/' })
  if (place === '/goods') return answer(200, '["tea","milk","salt"]')
  if (place.startsWith('/goods/')) return answer(request.headers.cookie === 'visitor=1' ? 200 : 403)
  if (place.startsWith('/orders/')) return answer(orders.has(place.slice(8)) ? 200 : 404, place.slice(8))
  if (place !== '/orders') return answer(404)
  let text = ''
  request.on('data', chunk => { text += chunk }).on('end', () => {
    orders.add((JSON.parse(text) as { order: string }).order)
    answer(201)
  })
})

before(async () => {
  await new Promise<void>(resolve => { shop.listen(0, '127.0.0.1', resolve) })
  url = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-load-'))
})
after(async () => {
  shop.closeAllConnections()
  shop.close()
  await rm(folder, { recursive: true, force: true })
})

const plan = (mix: Record<string, number>, perSecond: number, durationMs: number) => ({ url, files: [journeys], mix, rate: constantProfile(perSecond), durationMs, generators: 1 })
const stepOf = (report: LoadReport, step: string) => report.steps.find(one => one.step === step)!
const tenfold = (argv: readonly string[]) => new Promise<{ code: number; stdout: string; stderr: string }>(resolve => {
  execFile(process.execPath, [path.join(root, 'bin/tenfold.mjs'), 'load', ...argv], { cwd: root }, (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }))
})

test('users keep their cookies, writes go to the ledger, and each that is lost is named', async () => {
  const ledger = path.join(folder, 'ledger.jsonl')
  const page = path.join(folder, 'report.html')
  const ran = await tenfold(['--journeys', journeys, '--mix', 'buyer', '--url', url, '--rate', '10', '--for', '8s', '--timeout', '60s', '--generators', '2', '--arrivals', 'constant', '--ledger', ledger, '--report', page, '--json'])
  assert.equal(ran.code, 0, ran.stderr)
  const report = JSON.parse(ran.stdout) as LoadReport
  // Some of the last may have been cut short by the end.
  assert.ok(report.journeys.started >= 75 && report.journeys.started <= 80, `${report.journeys.started} of 80 at a constant 10 per second`)
  assert.equal(report.journeys.gaveUp, 0)
  assert.equal(report.total.answers, report.total.good)
  assert.deepEqual(Object.keys(stepOf(report, 'buyer/order').byCode), ['201'])
  assert.equal(report.acknowledged, orders.size)
  assert.equal(report.generator.processes, 2)
  assert.equal(stepOf(report, 'buyer/door').histogram.reduce((sum, [, count]) => sum + count, 0), report.journeys.started)
  const lines = (await readFile(ledger, 'utf8')).trim().split('\n').map(line => JSON.parse(line) as { expect: { has: string } })
  assert.deepEqual(new Set(lines.map(({ expect }) => expect.has)), orders, 'both processes wrote whole lines')

  const all = await tenfold(['--verify', ledger, '--url', url])
  assert.deepEqual([all.code, all.stdout], [0, `all ${orders.size} acknowledged writes are there\n`])
  const lost = lines[3]!.expect.has
  orders.delete(lost)
  const one = await tenfold(['--verify', ledger, '--url', url])
  assert.equal(one.code, 1)
  assert.match(one.stdout, new RegExp(`1 of ${lines.length} acknowledged writes are lost\n- \\S+ buyer/order at /orders/${lost}: answered 404, not 200`))
  const html = await readFile(page, 'utf8')
  assert.doesNotMatch(html, /<script|src=|https?:\/\/(?!127\.0\.0\.1)/, 'it stands alone')
  for (const part of ['Throughput', 'Latency over time', 'Latency distribution', 'Answers by code', 'buyer/order']) assert.ok(html.includes(part), part)
})

test('refusals, errors and what never comes are counted for what they are', async () => {
  const progress: LoadProgress[] = []
  const report = await runLoad({ ...plan({ unlucky: 1 }, 40, 2_000), timeoutMs: 10_000, seed: 5 }, { onProgress: one => progress.push(one) })
  const [full, slow, gone] = ['unlucky/full', 'unlucky/slow', 'unlucky/gone'].map(one => stepOf(report, one))
  assert.deepEqual([full!.good, full!.failed, full!.refused], [0, 0, full!.byCode['503']])
  assert.deepEqual([slow!.good, slow!.refused, slow!.failed], [0, 0, slow!.byCode.timeout])
  assert.deepEqual([gone!.good, gone!.refused, gone!.failed], [gone!.byCode['404'], 0, 0])
  assert.ok(full!.refused > 0 && slow!.failed > 0 && gone!.good > 0)
  assert.equal(report.journeys.gaveUp, full!.refused + slow!.failed)
  assert.equal(report.total.answers, report.journeys.started, 'what was begun before the end is waited for')
  for (const key of ['offered', 'answers', 'good', 'refused', 'failed'] as const) assert.ok(progress.reduce((sum, one) => sum + one[key], 0) > 0, key)
  assert.deepEqual(progress.map(one => one.second), progress.map((_, index) => index + 1))
  assert.match(reportText(report), /not good: 404|503 × \d+.*timeout × \d+/)
})

test('a generator that is itself the limit says so, and gets help', async () => {
  const bound = await runLoad(plan({ heavy: 1 }, 60, 3_000))
  assert.equal(bound.generator.isBound, true)
  assert.match(reportText(bound), /GENERATOR-BOUND: .* more than 20 ms after they were due/)
  assert.match(reportPage(bound), /Generator-bound/)
  // A bound of minutes, so that a busy machine cannot be the reason.
  const calm = await runLoad({ ...plan({ buyer: 1 }, 5, 2_000), lateMs: 60_000 })
  assert.equal(calm.generator.lateShare, 0)
  if (os.availableParallelism() > 1) assert.equal((await runLoad({ ...plan({ heavy: 1 }, 60, 8_000), generators: undefined })).generator.processes > 1, true)
})

test('so many users, and no more than for as long as wanted', async () => {
  const ending = new AbortController()
  const seen: LoadProgress[] = []
  const report = await runLoad({ ...plan({ buyer: 1 }, 1, 120_000), rate: undefined, users: constantProfile(7) }, {
    signal: ending.signal,
    onProgress: progress => {
      seen.push(progress)
      if (seen.reduce((sum, one) => sum + one.finished, 0) > 21) ending.abort()
    },
  })
  assert.equal(report.isAborted, true)
  assert.ok(report.seconds < 120)
  assert.ok(report.journeys.finished > 21, 'each goes on to the next journey')
  assert.equal(Math.max(...seen.map(({ users }) => users)), 7)
})

test('a fault of a journey or of the plan ends the run with its name', async () => {
  await assert.rejects(runLoad(plan({ mistaken: 1 }, 20, 5_000)), /journey 'mistaken' failed: TypeError[\s\S]*shop-journeys\.ts/)
  await assert.rejects(runLoad({ ...plan({ buyer: 1 }, 5, 1_000), url: 'http://127.0.0.1:9' }), { code: 'UNAVAILABLE', message: /preparation of journey 'buyer'.*\/goods.*nobody/ })
  await assert.rejects(runLoad({ ...plan({ buyer: 1 }, 5, 1_000), users: constantProfile(1) }), { code: 'USAGE', message: /either a rate/ })
  await assert.rejects(runLoad(plan({ nobody: 1 }, 5, 1_000)), { code: 'USAGE', message: /no journey 'nobody'; there are buyer, heavy, mistaken, unlucky/ })
  for (const [argv, message] of [
    // Read before anything is started.
    [['--rate', 'many'], /--rate is 'many'/], [['--ramp', '5'], /--ramp is '5'; write a ramp/], [['--rate', '1', '--users', '1'], /one of --rate/], [['--for', 'ever'], /--for is 'ever'/],
    [['--speed', '2'], /--speed goes with --trace/], [['--journeys', 'none'], /no journeys at none/], [['--verify', 'none'], /ledger none cannot be read/], [['--url', 'here'], /'here' is no address/],
  ] as const) {
    const { code, stderr } = await tenfold(argv[0] === '--journeys' ? argv : ['--journeys', journeys, '--mix', 'buyer', ...argv])
    assert.equal(code, 2, stderr)
    assert.match(stderr, message)
  }
})
