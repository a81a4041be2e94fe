/** Topology 3 as a fault finds it: the processes of each kind, the ports they listen on, and the database behind them. */
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync, realpathSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'
import { monotonicMs, sleep } from '../../src/base/time.ts'
import { silentLogger } from '../../src/base/log.ts'
import { memberFolder, readGroupState } from '../../src/drivers/postgres/group-state.ts'
import { RedisConnection } from '../../src/drivers/redis/connection.ts'
import { embeddedRedisUrl } from '../../src/drivers/redis/server.ts'
import { statusOf } from '../processes/deployed.ts'
import type { TestDeployment } from '../support/deployment.ts'

export type Kind = 'web' | 'worker' | 'primary' | 'replica' | 'redis' | 'nats' | 'haproxy'

const text = (file: string) => readFile(file, 'utf8').then(found => found.trim(), () => '')

export class Site {
  readonly deployment: TestDeployment

  constructor(deployment: TestDeployment) { this.deployment = deployment }

  get folder(): string { return this.deployment.dataFolder }

  /** Which member is the primary, by its number. */
  async primary(): Promise<number> { return (await readGroupState(this.folder)).primary }
  async epoch(): Promise<number> { return (await readGroupState(this.folder)).epoch }
  async replicas(): Promise<readonly number[]> {
    const primary = await this.primary()
    return [0, 1, 2].filter(index => index !== primary)
  }

  clusterOf(index: number): string { return path.join(memberFolder(this.folder, index), 'postgres/cluster') }

  async portOf(index: number): Promise<number> { return Number((await readFile(path.join(this.clusterOf(index), 'postmaster.pid'), 'utf8')).split('\n')[3]) }
  async brokerPort(): Promise<number> { return (JSON.parse(await text(path.join(this.folder, 'nats/ports.json'))) as { client: number }[])[0]!.client }

  /** Where HAProxy finds this process. */
  async nodePort(pid: number): Promise<number> {
    const found = new RegExp(`-${pid} 127\\.0\\.0\\.1:(\\d+) `).exec(await text(path.join(this.folder, 'haproxy/haproxy.cfg')))
    return Number((found ?? assert.fail(`HAProxy has no node of the process ${pid}`))[1])
  }

  /** Every process of one of a kind: of a Postgres all that work in its folder, the postmaster first. */
  async pidsOf(kind: Kind, replica = 0): Promise<readonly number[]> {
    if (kind === 'web' || kind === 'worker') {
      const pid = (await statusOf(this.deployment)).find(one => one.name === kind && one.replica === replica)?.pid
      return pid ? [pid] : []
    }
    if (kind === 'primary') return this.serverPids(await this.primary())
    if (kind === 'replica') return this.serverPids((await this.replicas())[replica]!)
    const pid = Number(await text(path.join(this.folder, { redis: 'redis', nats: 'nats/0', haproxy: 'haproxy' }[kind], 'pid')))
    return pid > 0 ? [pid] : []
  }

  async serverPids(index: number): Promise<readonly number[]> {
    const cluster = realpathSync(this.clusterOf(index))
    const first = Number((await text(path.join(cluster, 'postmaster.pid'))).split('\n')[0])
    const all = readdirSync('/proc').filter(one => /^\d+$/.test(one)).map(Number).filter(pid => {
      try { return realpathSync(readlinkSync(`/proc/${pid}/cwd`)) === cluster } catch { return false }
    })
    return [first, ...all.filter(pid => pid !== first)].filter(pid => all.includes(pid))
  }

  /** True when a process of this kind is there, and it is another. */
  async isBack(kind: Kind, replica: number, before: readonly number[]): Promise<boolean> {
    const [first] = await this.pidsOf(kind, replica).catch(() => [])
    if (first === undefined || before.includes(first)) return false
    return kind !== 'web' && kind !== 'worker' || (await statusOf(this.deployment)).some(one => one.pid === first && one.state === 'ready')
  }

  /** Of one server; of the primary unless told otherwise. */
  async sql<Row>(statement: string, values: readonly unknown[] = [], index?: number): Promise<Row[]> {
    const client = await this.connect(index)
    try { return (await client.query(statement, [...values])).rows as Row[] } finally { client.connection.stream.destroy() }
  }

  async connect(index?: number): Promise<pg.Client> {
    const at = index ?? await this.primary()
    const password = await text(path.join(this.folder, 'postgres/postgres.password'))
    const client = new pg.Client({ host: '127.0.0.1', port: await this.portOf(at), user: 'postgres', database: 'postgres', password, connectionTimeoutMillis: 2_000 })
    client.on('error', () => {})
    await client.connect()
    return client
  }

  async redis<T>(work: (redis: RedisConnection) => Promise<T>): Promise<T> {
    const secret = Buffer.from(await text(path.join(this.folder, 'secret')), 'hex')
    const redis = new RedisConnection({ url: embeddedRedisUrl({ dataFolder: this.folder, purpose: 'cache', secret }), log: silentLogger, callMs: 5_000 })
    await redis.open()
    try { return await work(redis) } finally { await redis.close() }
  }

  /** Both replicas follow the primary, and commits wait for either. */
  async isFollowed(): Promise<boolean> {
    const rows = await this.sql<{ names: string; followers: number }>(`
      SELECT current_setting('synchronous_standby_names') AS names, (SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming') AS followers`).catch(() => [])
    if (rows.length === 0 || rows[0]!.followers < 2) return false
    return rows[0]!.names === '' || rows[0]!.names.split(',').length >= 2
  }

  /** That, and every process is ready. */
  async isWhole(): Promise<boolean> {
    if (!await this.isFollowed()) return false
    const states = await statusOf(this.deployment).catch(() => [])
    return states.length > 0 && states.every(one => one.state === 'ready')
  }
}

export async function until(holds: () => boolean | Promise<boolean>, what: string, withinMs = 60_000): Promise<void> {
  for (const startMs = monotonicMs(); !await holds(); await sleep(20)) assert.ok(monotonicMs() - startMs < withinMs, `not within ${withinMs} ms: ${what}`)
}

export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) try { process.kill(pid, signal) } catch { /* it has just ended by itself */ }
}
