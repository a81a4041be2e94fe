/** Debian's Chromium, headless, for tests of pages; what a page complains of is kept. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { chromium } from 'playwright-core'
import type { Page } from 'playwright-core'

/** The last four keep it from looking for its makers, who are not reachable everywhere. */
const flags = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
/** Not how long it takes, but when a drowned machine is given up. */
const timeoutMs = 180_000

export interface Browser {
  /** Errors of pages, among them what their policy refused. */
  readonly complaints: string[]
  open(url: string, options?: { readonly width?: number; readonly height?: number; readonly theme?: 'light' | 'dark' }): Promise<Page>
  close(): Promise<void>
}

export async function startBrowser(): Promise<Browser> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-chromium-'))
  const root = process.getuid?.() === 0 ? ['--no-sandbox'] : []
  const context = await chromium.launchPersistentContext(folder, { executablePath: '/usr/bin/chromium', headless: true, args: [...root, ...flags], timeout: timeoutMs })
  context.setDefaultTimeout(timeoutMs)
  const complaints: string[] = []
  return {
    complaints,
    async open(url, { width = 1_280, height = 860, theme = 'light' } = {}) {
      const page = await context.newPage()
      await page.setViewportSize({ width, height })
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' })
      page.on('pageerror', error => complaints.push(`${page.url()}: ${error.message}`))
      page.on('console', message => { if (/content security policy/i.test(message.text())) complaints.push(message.text()) })
      await page.goto(url)
      return page
    },
    async close() {
      await context.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What an accessibility checker finds wrong, by rule and place. */
export async function accessibilityFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }> } }
    return (await axe.run()).violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary.slice(0, 200)}`))
  })
}

/**
 * How much of what was there has jumped since the page was loaded, as Cumulative Layout Shift counts it: the share of
 * the window that moved times how far, without what follows a key or a click. Below 0.1 is good (web.dev/cls).
 */
export function layoutShift(page: Page): Promise<number> {
  return page.evaluate<number>(`new Promise(resolve => {
    let sum = 0
    const observer = new PerformanceObserver(list => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value })
    observer.observe({ type: 'layout-shift', buffered: true })
    setTimeout(() => { observer.disconnect(); resolve(sum) }, 100)
  })`)
}
