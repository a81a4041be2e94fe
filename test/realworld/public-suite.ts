/** Runs the public RealWorld suite against a server, where the suite is there (../shared beside the checkout), in both its forms. */
import { spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { runHurl } from './hurl.ts'
import type { HurlResult } from './hurl.ts'

const here = import.meta.dirname
const [suite, hurl] = ['bruno', 'hurl'].map(form => path.resolve(here, '../../../shared/realworld', form)) as [string, string]

export const publicSuiteIsThere = existsSync(suite) && existsSync(hurl)

export const runPublicSuite = (url: string): Promise<HurlResult> => runHurl(hurl, url)

export interface BrunoResult { readonly requests: number; readonly passed: number; readonly assertions: number; readonly assertionsPassed: number; readonly output: string }

function install(): string {
  const cli = path.join(here, 'node_modules/@usebruno/cli/bin/bru.js')
  if (existsSync(cli)) return cli
  const { status, stderr } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], { cwd: here, encoding: 'utf8' })
  if (status !== 0) throw new Error(`the runner of the public suite could not be installed: ${stderr}`)
  return cli
}

export async function runBruno(url: string): Promise<BrunoResult> {
  const cli = install()
  const folder = mkdtempSync(path.join(os.tmpdir(), 'tenfold-suite-'))
  try {
    cpSync(suite, path.join(folder, 'bruno'), { recursive: true })
    const report = path.join(folder, 'report.json')
    // The suite's scripts are known: without an interpreter around each the runner needs a fifth of the time.
    const child = spawn(process.execPath, [cli, 'run', '.', '-r', '--env', 'local', '--env-var', `host=${url}`, '--sandbox', 'developer', '--reporter-json', report], { cwd: path.join(folder, 'bruno') })
    let output = ''
    child.stdout.on('data', (data: Buffer) => { output += data.toString() })
    child.stderr.on('data', (data: Buffer) => { output += data.toString() })
    await new Promise(resolve => child.once('exit', resolve))
    return { ...summaryOf(report, output), output }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function summaryOf(report: string, output: string): Omit<BrunoResult, 'output'> {
  if (!existsSync(report)) throw new Error(`the suite wrote no report:\n${output.slice(-4_000)}`)
  const parsed = JSON.parse(readFileSync(report, 'utf8')) as { summary: Record<string, number> } | { summary: Record<string, number> }[]
  const summary = (Array.isArray(parsed) ? parsed[0]! : parsed).summary
  return { requests: summary.totalRequests!, passed: summary.passedRequests!, assertions: summary.totalAssertions!, assertionsPassed: summary.passedAssertions! }
}
