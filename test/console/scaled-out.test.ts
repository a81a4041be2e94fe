/** The console on topology 3, of Conduit: balancer, replicas, Redis, broker and the decisions of the autoscaler are on its pages, and so is what fails of them. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import type { Page } from 'playwright-core'
import { skipWithout } from '../../scripts/engines.ts'
import scaledOut from '../../examples/conduit/topologies/3-scaled-out.ts'
import { accessibilityFaults, startBrowser } from '../support/browser.ts'
import type { Browser } from '../support/browser.ts'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'

const skip = skipWithout('chromium') || skipWithout('haproxy') || skipWithout('redis') || skipWithout('nats')
let deployment: TestDeployment
let browser: Browser
let page: Page
let folder: string

before(async () => {
  if (skip) return
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-'))
  const topology = path.join(folder, 'scaled-out.ts')
  // So little may be busy that one process more is wanted without load.
  const processes = { ...scaledOut.processes, web: { ...scaledOut.processes.web, replicas: { min: 1, max: 2, target: 0.001 } }, worker: { ...scaledOut.processes.worker, replicas: 1 } }
  await writeFile(topology, `export default ${JSON.stringify({ ...scaledOut, processes })}\n`)
  deployment = await startDeployment({ topology, env: { TENFOLD_SCALING_SPEED: '30' } })
  browser = await startBrowser()
  page = await browser.open(`${deployment.adminUrl}/`)
})

after(async () => {
  if (skip) return
  await browser?.close()
  await deployment?.close()
  await rm(folder, { recursive: true, force: true })
})

const node = (title: string) => page.getByRole('article').filter({ has: page.getByRole('heading', { name: title, exact: true }) })
const show = (name: string) => page.goto(`${deployment.adminUrl}/#/${name}`)

/** Looked at while it is live: on a drowned machine a page is paler for a moment, as one that waits for its deployment. */
async function assertAccessible(what: string): Promise<void> {
  for (const endMs = monotonicMs() + 60_000; ;) {
    await page.getByText('Live', { exact: true }).waitFor()
    const faults = await accessibilityFaults(page)
    if (faults.length === 0) return
    if (monotonicMs() > endMs) assert.deepEqual(faults, [], what)
  }
}

/** Not by waitForFunction, which evaluates a text: the page's policy forbids that. */
async function fits(width: number): Promise<void> {
  for (const endMs = monotonicMs() + 10_000; ;) {
    const [wanted, has] = await page.evaluate<number[]>('[document.documentElement.clientWidth, document.documentElement.scrollWidth]')
    if (wanted === has) return
    assert.ok(monotonicMs() < endMs, `at ${width} the page is ${has} wide, the window ${wanted}`)
    await sleep(100)
  }
}

async function assertFits(): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme })
    await assertAccessible(colorScheme)
  }
  for (const width of [390, 1_920, 1_280]) {
    await page.setViewportSize({ width, height: 860 })
    await fits(width)
  }
}

test('the map shows what runs beside the processes', { skip }, async () => {
  await show('map')
  for (const [title, texts] of [
    ['HAProxy', ['up', /^\d+ of \d+$/]], ['Replicas', ['2 follow', '2, 1 needed', 'tenfold_1', 'tenfold_2']], ['Redis', ['up', /^[\d.]+ [KM]iB, [\d.]+ %$/]], ['NATS', ['up', 'events', 'jobs']],
  ] as const) for (const text of texts) await node(title).getByText(text).first().waitFor()
  await assertFits()
})

test('decisions of the autoscaler are told with their reasons', { skip }, async () => {
  const decisions = page.getByRole('group', { name: 'Decisions of the autoscaler' })
  await decisions.getByText('1 → 2').waitFor()
  await decisions.getByText(/^(the load there is|the load to come|the most allowed)$/).first().waitFor()
  await page.getByText(/web: 2 wanted/).waitFor()
  await page.getByRole('heading', { name: 'web 1', exact: true }).waitFor()
  await assertFits()
})

test('replicas with their lag, and the streams of the broker', { skip }, async () => {
  await show('database')
  const replicas = page.getByRole('group', { name: 'Replicas' })
  for (const name of ['tenfold_1', 'tenfold_2']) await replicas.getByRole('row', { name: new RegExp(`^${name} [\\d.]+ .?i?B \\d+`) }).waitFor()
  await page.getByText(/2 confirm commits, 1 must/).waitFor()
  await assertFits()
  await show('backlog')
  await page.getByRole('group', { name: 'Streams of the broker' }).getByRole('row', { name: /^events \d+ / }).waitFor()
  await page.getByRole('group', { name: 'Consumers' }).getByText('feed.entries').waitFor()
  await assertFits()
})

test('what does not answer is said to be so, and is well again by itself', { skip }, async () => {
  await show('map')
  await node('Redis').getByText('up', { exact: true }).waitFor()
  const pid = Number(await readFile(path.join(deployment.dataFolder, 'redis/pid'), 'utf8'))
  process.kill(pid, 'SIGSTOP')
  try { await node('Redis').getByText('does not answer').waitFor() } finally { process.kill(pid, 'SIGCONT') }
  await node('Redis').getByText('up', { exact: true }).waitFor()
})

test('no page broke its own policy or threw', { skip }, () => { assert.deepEqual(browser.complaints, []) })
