/** The console in a browser, on a deployment under load: every page, what may be done there, and that it comes back by itself. */
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { skipWithout } from '../../scripts/engines.ts'
import { accessibilityFaults, layoutShift, startBrowser } from '../support/browser.ts'
import type { Browser } from '../support/browser.ts'
import { startDeployment } from '../support/deployment.ts'
import { freePort } from '../support/free-port.ts'
import type { TestDeployment } from '../support/deployment.ts'

const appFile = path.join(import.meta.dirname, '../fixtures/console/app.ts')
const skip = skipWithout('chromium')
let deployment: TestDeployment
let browser: Browser
let page: Page
let folder: string
let broken: string

const add = (author: string, text: string) => fetch(`${deployment.url}/notes`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ author, text }) })
const read = async <T>(place: string) => await (await fetch(deployment.adminUrl + place)).json() as T

async function show(name: string): Promise<void> {
  await page.goto(`${deployment.adminUrl}/#/${name}`)
}

async function until<T>(look: () => Promise<T>, isRight: (found: T) => boolean, what: string): Promise<T> {
  for (const deadline = Date.now() + 180_000; ;) {
    const found = await look()
    if (isRight(found)) return found
    assert.ok(Date.now() < deadline, `${what}: ${JSON.stringify(found)}`)
    await sleep(100)
  }
}

before(async () => {
  if (skip) return
  folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-'))
  broken = path.join(folder, 'broken')
  await writeFile(broken, '')
  const adminPort = await freePort()
  deployment = { ...await startDeployment({ appFile, env: { BROKEN: broken, ADMIN_PORT: String(adminPort), LOG_LEVEL: 'info' } }), adminUrl: `http://127.0.0.1:${adminPort}` }
  browser = await startBrowser()
  page = await browser.open(`${deployment.adminUrl}/`)
  for (let index = 0; index < 2; index++) await add(`author-${index}`, `poison ${index}`)
  await fetch(`${deployment.url}/faulty`)
})

after(async () => {
  if (skip) return
  await browser?.close()
  await deployment?.close()
  await rm(folder, { recursive: true, force: true })
})

test('load is started from its page, and shows how it goes', { skip }, async () => {
  await show('load')
  await page.getByRole('spinbutton', { name: 'Journeys per second' }).fill('5')
  await page.getByRole('spinbutton', { name: 'Seconds' }).fill('900')
  await page.getByRole('button', { name: 'Start load' }).click()
  await page.getByText('running', { exact: true }).waitFor()
  const { run } = await until(() => read<{ run: { progress: { good: number }[] } }>('/load'), ({ run }) => run.progress.some(one => one.good > 0), 'good answers')
  assert.ok(run.progress.length > 0)
  await page.getByText(/measuring, second \d+ of 900/).waitFor()
})

/** By page: what must be seen on it. */
const seen: Readonly<Record<string, readonly (string | RegExp)[]>> = {
  map: ['Clients', 'Ingress', 'app 0', 'Postgres', 'Events', 'Jobs', /^[\d.]+\/s$/],
  intents: ['board.list', 'board.add'],
  'intents/board.list': ['Calls', 'Latency', 'Traces', /select .*"note"/],
  database: [/from "note"/, 'board.note_by_author', 'board.mention'],
  backlog: ['Dead letters', 'cannot stand poison 1', 'board.onAdded'],
  logs: [/a fault that was planted|board\.faulty/],
  advice: ['The same in the terminal', /binds|unexplained/, 'Step', /tenfold advise --app/],
  api: ['/notes', '/authors/{author}/notes'],
}

for (const [name, texts] of Object.entries(seen)) {
  test(`${name} shows what is, is accessible in both themes, and fits a phone`, { skip }, async () => {
    await page.emulateMedia({ colorScheme: 'light' })
    await show(name)
    for (const text of texts) await page.getByText(text).filter({ visible: true }).first().waitFor()
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      assert.deepEqual(await accessibilityFaults(page), [], colorScheme)
    }
    await page.setViewportSize({ width: 390, height: 844 })
    await until(() => page.evaluate<number>('document.documentElement.scrollWidth - document.documentElement.clientWidth'), overflow => overflow === 0, 'the page is wider than a phone')
    await page.setViewportSize({ width: 1_280, height: 860 })
  })
}

test('nothing jumps while a page fills and lives', { skip }, async () => {
  await Promise.all([390, 1_280].map(async width => {
    const fresh = await browser.open(`${deployment.adminUrl}/#/map`, { width })
    await fresh.getByText('Live', { exact: true }).waitFor()
    let before = 0
    // From page to page, as people go: each fills anew.
    for (const name of ['map', 'intents', 'database', 'backlog', 'logs', 'load', 'advice', 'api']) {
      await fresh.goto(`${deployment.adminUrl}/#/${name}`)
      await sleep(1_500)
      const shift = await layoutShift(fresh)
      assert.ok(shift - before < 0.1, `${name} at ${width} px: ${(shift - before).toFixed(3)}`)
      before = shift
    }
    // Negative control: what jumps is seen.
    await fresh.evaluate(`const block = document.createElement('div'); block.style.height = '400px'; document.body.prepend(block)`)
    await sleep(300)
    assert.ok(await layoutShift(fresh) - before >= 0.1, 'the test cannot see what it is for')
    await fresh.close()
  }))
})

test('a failed trace opens as a waterfall, a statement as its plan', { skip }, async () => {
  await show('intents/board.faulty')
  await page.getByLabel('Failed only').check()
  await page.getByRole('group', { name: 'Traces of board.faulty' }).getByRole('button', { expanded: false }).first().click()
  await page.getByRole('list', { name: /^Spans of trace/ }).getByRole('button', { name: /GET \/faulty/ }).waitFor()
  await show('database')
  await page.getByRole('button', { name: 'Show plan' }).first().click()
  await page.getByLabel('plan', { exact: true }).getByText(/note/).waitFor()
})

test('the keyboard reaches the pages, and the theme stays chosen', { skip }, async () => {
  await show('map')
  await page.reload()
  await page.getByRole('heading', { name: 'Map' }).waitFor()
  await page.keyboard.press('Tab')
  assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to the page')
  await page.getByRole('link', { name: 'Database' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Database', level: 1 }).waitFor()
  assert.equal(await page.evaluate('document.activeElement.id'), 'main', 'who cannot see is at the beginning of the new page')
  await page.getByLabel('Theme').selectOption('dark')
  await page.reload()
  await page.getByLabel('Theme').waitFor()
  assert.equal(await page.evaluate('getComputedStyle(document.documentElement).colorScheme'), 'dark')
  await page.getByLabel('Theme').selectOption('system')
})

test('dead letters are replayed and dead jobs retried, once what made them fail is mended', { skip }, async () => {
  await rm(broken)
  await show('backlog')
  const replay = page.getByRole('button', { name: 'Replay board.added for board.onAdded' })
  await replay.first().click()
  await until(() => read<{ deadLetters: unknown[] }>('/dead-letters'), one => one.deadLetters.length === 1, 'one is left')
  await until(() => replay.count(), count => count === 1, 'the page shows one')
  await replay.click()
  await page.getByText('None: every event was handled').waitFor()
  for (let left = 2; left > 0; left--) {
    await page.getByRole('button', { name: /^Retry board\.announce/ }).first().click()
    await until(() => read<{ dead: unknown[] }>('/jobs'), one => one.dead.length === left - 1, 'a job runs again')
    await until(() => page.getByRole('button', { name: /^Retry board\.announce/ }).count(), count => count === left - 1, 'the page shows it')
  }
})

test('an action without the CSRF token is refused, also from this very page', { skip }, async () => {
  const statusOf = (headers: Record<string, string>) => page.evaluate(async headers => (await fetch('/load', { method: 'DELETE', headers })).status, headers)
  assert.equal(await statusOf({}), 403)
  assert.equal(await statusOf({ 'tenfold-csrf': 'guessed' }), 403)
  const { csrf } = await page.evaluate(async () => await (await fetch('/session')).json() as { csrf: string })
  assert.equal(await statusOf({ 'tenfold-csrf': csrf }), 200)
})

test('processes are restarted from the map, while it goes on', { skip }, async () => {
  const { processes: [first] } = await read<{ processes: { pid: number }[] }>('/status')
  await show('map')
  await page.getByRole('button', { name: 'Restart processes' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Restart processes' }).click()
  await page.getByText('All processes are new').waitFor()
  const { processes } = await read<{ processes: { pid: number }[] }>('/status')
  assert.ok(processes.every(({ pid }) => pid !== first!.pid))
  await page.getByText('Live', { exact: true }).waitFor()
})

test('it says that the deployment is gone, and is live again when that is back', { skip }, async () => {
  await show('map')
  await page.getByText('Live', { exact: true }).waitFor()
  const { adminUrl, dataFolder } = deployment
  await deployment.end()
  await page.getByText('Reconnecting', { exact: true }).waitFor()
  await page.getByText('The deployment does not answer').waitFor()
  deployment = { ...await startDeployment({ appFile, dataFolder, env: { ADMIN_PORT: new URL(adminUrl).port } }), adminUrl }
  await page.getByText('Live', { exact: true }).waitFor()
  await page.getByText('app 0').first().waitFor()
})

test('no page broke its own policy or threw', { skip }, () => { assert.deepEqual(browser.complaints, []) })
