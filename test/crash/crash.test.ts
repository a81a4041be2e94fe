/**
 * kill -9 of the application's process, of Postgres, of both and of everything, under 16
 * writers. What was acknowledged is there afterwards, once, with the events, read models
 * and jobs that follow from it; nobody repairs anything by hand.
 *
 * Negative control: answers that are sent before COMMIT must be found missing.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { skipWithout } from '../../scripts/engines.ts'
import { startDeployment } from '../support/deployment.ts'
import type { TestDeployment } from '../support/deployment.ts'
import { Ledger, write } from './ledger.ts'

const isSoak = process.env.TENFOLD_SOAK === '1'
const rounds = isSoak ? 10 : 4
const acknowledgedMin = isSoak ? 10_000 : 1_000
const writers = 16
type Victim = 'app' | 'postgres' | 'both' | 'broker' | 'everything'
const plain: readonly Victim[] = ['app', 'postgres', 'both', 'everything']
const withBroker: readonly Victim[] = ['app', 'broker', 'everything']

async function pidsOf(deployment: TestDeployment): Promise<{ app: number[]; postgres: number; broker: number }> {
  const status = await (await fetch(`${deployment.adminUrl}/status`)).json() as { processes: { pid: number | null }[] }
  const pidFile = await readFile(path.join(deployment.dataFolder, 'postgres/cluster/postmaster.pid'), 'utf8').catch(() => '')
  const broker = await readFile(path.join(deployment.dataFolder, 'nats/0/pid'), 'utf8').catch(() => '')
  return { app: status.processes.flatMap(one => one.pid ?? []), postgres: Number(pidFile.split('\n')[0]), broker: Number(broker) }
}

function kill(pid: number): void {
  try { process.kill(pid, 'SIGKILL') } catch { /* it has just ended by itself */ }
}

async function strike(deployment: TestDeployment, victim: Victim): Promise<void> {
  const { app, postgres, broker } = await pidsOf(deployment)
  if (victim !== 'postgres' && victim !== 'broker') app.forEach(kill)
  if (victim !== 'app' && victim !== 'broker' && postgres > 0) kill(postgres)
  if ((victim === 'broker' || victim === 'everything') && broker > 0) kill(broker)
  if (victim === 'everything') kill(deployment.process.pid!)
}

async function roundsOf(ledger: Ledger, env: Record<string, string>, rounds: number, acknowledgedMin: number, victims = plain, topology = '1-monolith'): Promise<TestDeployment> {
  let deployment = await startDeployment({ env, topology, standby: true })
  const options = { topology, standby: true, dataFolder: deployment.dataFolder, port: Number(new URL(deployment.url).port), env }
  const stopping = new AbortController()
  await ledger.prepare(deployment.url)
  const writing = Array.from({ length: writers }, (_, index) => write(deployment.url, ledger, index, stopping.signal))
  for (let round = 0; round < rounds || ledger.acknowledged < acknowledgedMin; round++) {
    // Struck only when it is well again: a machine that is slow to start would else never get to write.
    await ledger.more(Math.ceil(acknowledgedMin / rounds), 60_000)
    const victim = victims[round % victims.length]!
    await strike(deployment, victim)
    if (victim === 'everything') deployment = await startDeployment(options)
  }
  await ledger.more(writers, 60_000)
  stopping.abort()
  await Promise.all(writing)
  return deployment
}

async function databaseOf(deployment: TestDeployment): Promise<pg.Client> {
  const folder = path.join(deployment.dataFolder, 'postgres')
  const port = Number((await readFile(path.join(folder, 'cluster/postmaster.pid'), 'utf8')).split('\n')[3])
  const password = (await readFile(path.join(folder, 'postgres.password'), 'utf8').catch(() => readFile(path.join(folder, 'password'), 'utf8'))).trim()
  const client = new pg.Client({ host: '127.0.0.1', port, user: 'postgres', database: 'postgres', password })
  await client.connect()
  return client
}

test(`kill -9 under ${writers} writers loses nothing and doubles nothing`, async t => {
  const ledger = new Ledger()
  const deployment = await roundsOf(ledger, {}, rounds, acknowledgedMin)
  const client = await databaseOf(deployment)
  t.after(async () => {
    await client.end()
    await deployment.end()
    await rm(deployment.dataFolder, { recursive: true, force: true })
  })
  t.diagnostic(`${ledger.acknowledged} writes acknowledged, ${ledger.unknown} of unknown outcome`)
  assert.ok(ledger.acknowledged >= acknowledgedMin)
  assert.deepEqual(await ledger.verify(client), [])
})

test('with events and jobs over a broker, which is killed as well, nothing is lost and nothing doubled either', { skip: skipWithout('nats') || (isSoak ? false : 'runs in npm run soak') }, async t => {
  const ledger = new Ledger()
  const deployment = await roundsOf(ledger, {}, isSoak ? rounds : withBroker.length, isSoak ? acknowledgedMin : 400, withBroker, path.join(import.meta.dirname, '../topologies/broker.ts'))
  const client = await databaseOf(deployment)
  t.after(async () => {
    await client.end()
    await deployment.end()
    await rm(deployment.dataFolder, { recursive: true, force: true })
  })
  t.diagnostic(`${ledger.acknowledged} writes acknowledged, ${ledger.unknown} of unknown outcome`)
  assert.deepEqual(await ledger.verify(client, 60_000), [])
})

test('negative control: an answer before COMMIT is found out', { skip: isSoak ? false : 'runs in npm run soak' }, async t => {
  const ledger = new Ledger()
  const deployment = await roundsOf(ledger, { TENFOLD_ACKNOWLEDGE: 'before-commit' }, 4, 500)
  const client = await databaseOf(deployment)
  t.after(async () => {
    await client.end()
    await deployment.end()
    await rm(deployment.dataFolder, { recursive: true, force: true })
  })
  const findings = await ledger.verify(client, 3_000)
  t.diagnostic(`${findings.length} findings, for instance: ${findings[0]}`)
  assert.ok(findings.some(one => one.includes('lost')), 'a lost write must be found')
})
