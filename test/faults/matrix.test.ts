/**
 * The fault matrix: topology 3 under verified load, one fault after another in one deployment;
 * and before, one trace through all of it.
 * After each, nothing that was acknowledged is lost and nothing doubled, events, read models
 * and jobs included; and what was seen of it from outside is no more than its criterion says.
 * `TENFOLD_FAULTS=killed|clock` runs those whose name fits only. docs/faults.md has the table.
 *
 * Negative control: rows that are taken away or put in twice are found out. What each protection
 * is for, controls.test.ts shows.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { memberFolder } from '../../src/drivers/postgres/group-state.ts'
import { startDeployment } from '../support/deployment.ts'
import { OtlpServer } from '../support/otlp-server.ts'
import { scaledOutFile, skipScaledOut } from '../topologies/scaled-out.ts'
import { inspectable } from './clock.ts'
import { faultsOf, smallMember } from './faults.ts'
import type { Fault } from './faults.ts'
import { Load } from './load.ts'
import type { Window } from './load.ts'
import { Site, until } from './site.ts'
import { traceThrough, tracedBy } from './trace.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const writers = isSoak ? 16 : 8
const acknowledgedMin = 10_000
/** Before it is struck, and after it is healed. */
const warm = isSoak ? 4 * writers : writers
const diskBytes = 2 * 1_073_741_824
const anchorMs = 30_000
const afterMs = 10_000
/** All of them take eleven minutes: a soak of everything kills only. */
const wanted = process.env.TENFOLD_FAULTS ?? (process.env.TENFOLD_SOAK_WHOLE === '1' ? '^kill -9 ' : '')
const isWanted = new RegExp(wanted)
const skipDisk = process.platform === 'linux' && process.getuid?.() === 0 ? false : 'only root may mount a file system'
const faults = faultsOf(skipDisk).filter(fault => isWanted.test(fault.name) && (isSoak || fault.holdMs.short !== null))

/** A data folder in which one member has a small disk of its own, and how it is taken away. */
async function folderWithDisk(): Promise<{ readonly folder: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'tenfold-faults-'))
  await chmod(folder, 0o755)
  const remove = () => rm(folder, { recursive: true, force: true, maxRetries: 5 })
  if (!isSoak || skipDisk) return { folder, remove }
  const disk = memberFolder(folder, smallMember)
  await mkdir(disk, { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskBytes},mode=755`, 'tmpfs', disk])
  return { folder, remove: async () => { execFileSync('umount', ['-l', disk]); await remove() } }
}

/** What is the matter with what was seen from outside; nothing when it is as the criterion says. */
function complaints(fault: Fault, seen: Window, healedMs: number, struckMs: number): string[] {
  const failed = `${seen.failures.length} of ${seen.attempts} attempts failed, for instance ${seen.failures[0]}`
  if (fault.criterion === 'unnoticed' && seen.failures.length > seen.attempts / 1_000) return [failed]
  if (fault.criterion === 'under way' && seen.failures.length > writers + seen.attempts / 1_000) return [failed]
  const allowedMs = fault.criterion === 'waits' ? healedMs - struckMs + afterMs : anchorMs
  return seen.withoutMs > allowedMs ? [`no write was acknowledged for ${Math.round(seen.withoutMs)} ms`] : []
}

async function suffer(t: TestContext, fault: Fault, site: Site, load: Load): Promise<void> {
  await until(() => site.isWhole(), 'the topology is whole', 120_000)
  load.start()
  await load.more(warm)
  const struckMs = monotonicMs()
  const heal = await fault.strike(site)
  let healedMs = struckMs
  try {
    await sleep(isSoak ? fault.holdMs.long : fault.holdMs.short!)
    const before = load.acknowledged
    if (fault.criterion !== 'waits') await until(() => load.acknowledged > before, 'a write is acknowledged', 90_000)
  } finally {
    healedMs = monotonicMs()
    await heal()
  }
  await load.more(warm, 90_000)
  await load.pause()
  const seen = load.since(struckMs)
  t.diagnostic(`${seen.acknowledged} writes acknowledged, ${seen.failures.length} of ${seen.attempts} attempts failed, ${seen.behind} reads were behind, longest without a write ${Math.round(seen.withoutMs)} ms, slowest attempt ${Math.round(seen.slowestMs)} ms`)
  for (const [what, count] of common(seen.failures)) t.diagnostic(`${count} × ${what}`)
  const client = await site.connect()
  const findings = await load.ledger.verify(client, 60_000).finally(() => client.end())
  assert.deepEqual(findings.slice(0, 10), [])
  assert.deepEqual(complaints(fault, seen, healedMs, struckMs), [])
}

function common(failures: readonly string[]): [string, number][] {
  const counts = new Map<string, number>()
  for (const one of failures) counts.set(one, (counts.get(one) ?? 0) + 1)
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 4)
}

test('topology 3 under verified load', { skip: skipScaledOut, timeout: 1_800_000 }, async t => {
  const data = await folderWithDisk()
  const topology = await scaledOutFile()
  const collector = new OtlpServer()
  const endpoint = await collector.start()
  t.after(() => collector.close())
  const deployment = await startDeployment({ topology: topology.file, dataFolder: data.folder, env: { ...inspectable, ...tracedBy(endpoint) } })
  t.after(async () => {
    await deployment.end()
    await Promise.all([data.remove(), topology.remove()])
  })
  const [site, load] = [new Site(deployment), new Load(deployment.url, writers)]
  t.after(() => load.close())
  await load.prepare()

  await traceThrough(t, site, collector)
  for (const fault of faults) await t.test(fault.name, { skip: fault.skip ?? false, timeout: 300_000 }, t => suffer(t, fault, site, load))

  t.diagnostic(`${load.ledger.acknowledged} writes acknowledged in all, ${load.ledger.unknown} of unknown outcome`)
  if (isSoak && wanted === '') assert.ok(load.ledger.acknowledged >= acknowledgedMin)

  await t.test('negative control: what is taken away, and what is there twice, is found out', async () => {
    await until(() => site.isWhole(), 'the topology is whole', 120_000)
    const [title] = load.ledger.articles.keys()
    await site.sql('DELETE FROM notifications.announcement WHERE article_id = (SELECT id FROM articles.article WHERE title = $1)', [title])
    const client = await site.connect()
    const look = () => load.ledger.verify(client, 0)
    try {
      assert.match((await look()).join('\n'), /the job of .* has had its effect 0 times/)
      await client.query('DELETE FROM articles.favorite WHERE article_id = (SELECT id FROM articles.article WHERE title = $1)', [title])
      await client.query('DELETE FROM articles.article WHERE title = $1', [title])
      assert.match((await look()).join('\n'), /lost: the article .*[\s\S]*lost: the favorite/)
    } finally { await client.end() }
  })
})
